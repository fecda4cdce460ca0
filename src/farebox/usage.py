"""What a call can consume and what it did: the words that dialects, pricing and the ledger's charges share. No prices, no I/O."""

from typing import Literal

import msgspec

Completeness = Literal["exact", "estimated", "unknown"]

# Disjoint units (providers.md, Appendix B). Tokens unless the name says otherwise; audio and video in milliseconds.
IN_TEXT = "in_text_uncached"
IN_AUDIO = "in_audio_uncached"
IN_IMAGE = "in_image_uncached"
IN_VIDEO = "in_video_uncached"
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
OUT_VIDEO = "out_video"
OUT_REASONING = "out_reasoning"
OUT_CITATION = "out_citation"
"""These two only where a provider counts and prices them beside the answer; everyone else's reasoning is inside `out_text`."""
TOOL_WEB_SEARCH = "tool_web_search"
TOOL_WEB_SEARCH_PREVIEW = "tool_web_search_preview"
TOOL_FILE_SEARCH = "tool_file_search"
TOOL_CONTAINER_SESSIONS = "tool_container_sessions"
"""Times gigabytes of memory where the provider charges by its size: a session of a 4 GB container is four."""
TOOL_GROUNDING = "tool_grounding"
TOOL_GROUNDING_MAPS = "tool_grounding_maps"
CHARS = "chars"
CREDITS = "credits"
"""The provider's own, where its answer says how many a call cost."""
AUDIO_IN_MS = "audio_in_ms"
AUDIO_OUT_MS = "audio_out_ms"
IMAGES = "images"
"""Square ones of standard quality, or of any where the price is one; the others of a model that charges by class are the next."""
IMAGES_256 = "images_256"
IMAGES_512 = "images_512"
IMAGES_WIDE = "images_wide"
IMAGES_HD = "images_hd"
IMAGES_HD_WIDE = "images_hd_wide"
VIDEO_MS = "video_ms"
PAGES = "pages"
REQUESTS = "requests"
REQUESTS_LOW = "requests_low"
REQUESTS_MEDIUM = "requests_medium"
REQUESTS_HIGH = "requests_high"
"""A request by how much it searched. Whoever counts one of these counts no plain one."""
MILLIONTHS = "millionths"
"""Of the unit of an own meter: half a render minute is 500,000 of them."""

INPUT_TOKEN_UNITS = (
    IN_TEXT,
    IN_AUDIO,
    IN_IMAGE,
    IN_VIDEO,
    IN_CACHE_READ,
    IN_CACHE_READ_AUDIO,
    IN_CACHE_READ_IMAGE,
    IN_CACHE_WRITE_5M,
    IN_CACHE_WRITE_30M,
    IN_CACHE_WRITE_1H,
    IN_CACHE_WRITE_12H,
)
OUTPUT_TOKEN_UNITS = (OUT_TEXT, OUT_AUDIO, OUT_IMAGE, OUT_VIDEO, OUT_REASONING, OUT_CITATION)
OTHER_UNITS = (
    TOOL_WEB_SEARCH,
    TOOL_WEB_SEARCH_PREVIEW,
    TOOL_FILE_SEARCH,
    TOOL_CONTAINER_SESSIONS,
    TOOL_GROUNDING,
    TOOL_GROUNDING_MAPS,
    CHARS,
    CREDITS,
    AUDIO_IN_MS,
    AUDIO_OUT_MS,
    IMAGES,
    IMAGES_256,
    IMAGES_512,
    IMAGES_WIDE,
    IMAGES_HD,
    IMAGES_HD_WIDE,
    VIDEO_MS,
    PAGES,
    REQUESTS,
    REQUESTS_LOW,
    REQUESTS_MEDIUM,
    REQUESTS_HIGH,
    MILLIONTHS,
)
ALL_UNITS = frozenset(INPUT_TOKEN_UNITS + OUTPUT_TOKEN_UNITS + OTHER_UNITS)
TOKEN_UNITS = frozenset(INPUT_TOKEN_UNITS + OUTPUT_TOKEN_UNITS)
BY_THE_MILLION = TOKEN_UNITS | {MILLIONTHS}
"""Units whose prices are told per million."""


class Conditions(msgspec.Struct, frozen=True, gc=False, cache_hash=True):
    """What besides the model and the units moves a price. The defaults are the plain price."""

    service_tier: str = "default"
    speed: str = "standard"
    geo: str = "global"
    batch: bool = False


PLAIN = Conditions()


EXTRA_NAME = r"[A-Za-z0-9_/:-]{1,64}(\.[A-Za-z0-9_/:-]{1,64}){0,15}"
"""What the name of an `Extra` can be: kinds of things come from callers."""


class Extra(msgspec.Struct, frozen=True, gc=False):
    """The most that one thing may add to a call whose cost nothing in the request bounds: an operator said so in the settings."""

    input_tokens: int = 0
    output_tokens: int = 0
    fee_pico: int = 0
    """What one costs that no usage reports: held, and charged."""


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
    prompts: int = 1
    """How many inputs the request has that may each fill the context window (a list of texts to embed)."""
    admitted: bool = False
    """Whether something in it is bounded by settings alone (`Extra`): by nothing that a call has to keep to."""
    extra_input_tokens: int = 0
    """Input tokens of that, on top of what the context window cuts."""
    fee_pico: int = 0
    """Fees of the same, in list pico-dollars. No usage reports them: they are charged as they are held."""


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
