"""What a call can consume and what it did: the words that dialects, pricing and the ledger's charges share. No prices, no I/O."""

from typing import Literal

import msgspec

Completeness = Literal["exact", "estimated", "unknown"]

# Disjoint units (providers.md, Appendix B). Tokens unless the name says otherwise; audio and video in milliseconds.
IN_TEXT = "in_text_uncached"
IN_AUDIO = "in_audio_uncached"
IN_IMAGE = "in_image_uncached"
IN_CACHE_READ = "in_cache_read"
IN_CACHE_READ_AUDIO = "in_cache_read_audio"
IN_CACHE_READ_IMAGE = "in_cache_read_image"
IN_CACHE_WRITE_5M = "in_cache_write_5m"
IN_CACHE_WRITE_30M = "in_cache_write_30m"
IN_CACHE_WRITE_1H = "in_cache_write_1h"
IN_CACHE_WRITE_12H = "in_cache_write_12h"
OUT_TEXT = "out_text"
OUT_AUDIO = "out_audio"
OUT_IMAGE = "out_image"
TOOL_WEB_SEARCH = "tool_web_search"
TOOL_FILE_SEARCH = "tool_file_search"
TOOL_CONTAINER_SESSIONS = "tool_container_sessions"
TOOL_GROUNDING = "tool_grounding"
CHARS = "chars"
AUDIO_IN_MS = "audio_in_ms"
AUDIO_OUT_MS = "audio_out_ms"
IMAGES = "images"
VIDEO_MS = "video_ms"
PAGES = "pages"
REQUESTS = "requests"
MILLIONTHS = "millionths"
"""Of the unit of an own meter: half a render minute is 500,000 of them."""

INPUT_TOKEN_UNITS = (
    IN_TEXT,
    IN_AUDIO,
    IN_IMAGE,
    IN_CACHE_READ,
    IN_CACHE_READ_AUDIO,
    IN_CACHE_READ_IMAGE,
    IN_CACHE_WRITE_5M,
    IN_CACHE_WRITE_30M,
    IN_CACHE_WRITE_1H,
    IN_CACHE_WRITE_12H,
)
OUTPUT_TOKEN_UNITS = (OUT_TEXT, OUT_AUDIO, OUT_IMAGE)
OTHER_UNITS = (
    TOOL_WEB_SEARCH,
    TOOL_FILE_SEARCH,
    TOOL_CONTAINER_SESSIONS,
    TOOL_GROUNDING,
    CHARS,
    AUDIO_IN_MS,
    AUDIO_OUT_MS,
    IMAGES,
    VIDEO_MS,
    PAGES,
    REQUESTS,
    MILLIONTHS,
)
ALL_UNITS = frozenset(INPUT_TOKEN_UNITS + OUTPUT_TOKEN_UNITS + OTHER_UNITS)
TOKEN_UNITS = frozenset(INPUT_TOKEN_UNITS + OUTPUT_TOKEN_UNITS)
BY_THE_MILLION = TOKEN_UNITS | {MILLIONTHS}
"""Units whose prices are told per million."""


class Conditions(msgspec.Struct, frozen=True, gc=False):
    """What besides the model and the units moves a price. The defaults are the plain price."""

    service_tier: str = "default"
    speed: str = "standard"
    geo: str = "global"
    batch: bool = False


PLAIN = Conditions()


class Demand(msgspec.Struct, frozen=True):
    """The most that one request can make its provider bill, before the output cap is decided."""

    input_tokens_max: int
    """Upper bound of all input tokens, from the bytes; not yet cut to the model's context window."""
    input_units: tuple[str, ...] = (IN_TEXT,)
    """Every unit that some of those tokens may be billed as; the dearest one is held for all of them."""
    output_tokens_named: int | None = None
    """The output cap the caller named, per choice."""
    output_tokens_min: int = 1
    """Below this cap the provider refuses, or the call is senseless (a thinking budget): never lowered under it."""
    output_units: tuple[str, ...] = (OUT_TEXT,)
    choices: int = 1
    extra_output_tokens: int = 0
    """Output-priced tokens that the cap does not bound (rejected predictions)."""
    fees_max: dict[str, int] = {}
    """The most of each per-use unit (web searches, requests, characters)."""
    conditions: tuple[Conditions, ...] = (PLAIN,)
    """Every set of conditions the provider may bill under; the dearest is held."""
    others: tuple["Other", ...] = ()
    """What the same call may make the provider bill at other models (an image tool, an adviser, a fallback)."""


class Other(msgspec.Struct, frozen=True):
    """A part of a call at a model of its own. Its demand names its output cap: nobody lowers it."""

    model: str
    demand: Demand


class Usage(msgspec.Struct, frozen=True):
    """What one attempt consumed, as its provider reported it or as it was estimated."""

    units: dict[str, int]
    prompt_total: int
    """All input tokens, cached ones too: what price tiers are decided by."""
    model_served: str = ""
    conditions: Conditions = PLAIN
    completeness: Completeness = "exact"
    reported_cost_pico: int | None = None
    raw: bytes = b""
    """The provider's own usage object, byte for byte, for whoever disputes a charge."""
    flags: tuple[str, ...] = ()
    """What was odd about it, by name: `inconsistent_usage`, `unknown_unit`, … Each raises an alarm."""
    others: tuple["Usage", ...] = ()
    """What was billed beside it, each at its own `model_served`."""


EXPLICIT_ZERO = Usage(units={}, prompt_total=0)
