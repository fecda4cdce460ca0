"""The usage of a response, and of the provider's own tools, into disjoint units (providers.md §1.2, §1.3, Appendix B)."""

from collections.abc import Iterable, Mapping
from typing import Any

from farebox.dialects import counts
from farebox.dialects.base import Ask
from farebox.dialects.meter import as_text
from farebox.dialects.openai import inputs
from farebox.dialects.openai.responses.request import Facts, facts_of
from farebox.dialects.openai.responses.tools import SESSION_S, SESSIONS_MAX
from farebox.usage import (
    IN_CACHE_WRITE_12H,
    IN_CACHE_WRITE_30M,
    OUT_TEXT,
    TOOL_CONTAINER_SESSIONS,
    TOOL_FILE_SEARCH,
    TOOL_WEB_SEARCH,
    Conditions,
    Usage,
)

UNKNOWN_TOOL = "unknown_tool"
IMAGE_NOT_ASKED = "image_tool_not_asked"
_KNOWN = frozenset(("input_tokens", "output_tokens", "total_tokens", "input_tokens_details", "output_tokens_details"))
_KNOWN_INPUT = frozenset(
    ("cached_tokens", "cache_write_tokens", "cache_write_tokens_details", "text_tokens", "image_tokens", "audio_tokens")
)
_KNOWN_TTLS = frozenset(("ttl_30m_tokens", "ttl_12h_tokens"))
_KNOWN_OUTPUT = frozenset(("reasoning_tokens", "text_tokens"))
_KNOWN_TOOLS = frozenset(("web_search", "image_gen"))
_NO_FEE = frozenset(
    (
        *("message", "reasoning", "function_call", "custom_tool_call", "local_shell_call", "apply_patch_call", "mcp_call"),
        *("computer_call", "compaction", "web_search_call", "file_search_call", "code_interpreter_call"),
        *("shell_call", "tool_search_call"),
    )
)
"""Kinds of output that have no fee, or whose fee is counted below."""


def read(
    usage: Mapping[str, Any], raw: bytes, tool_usage: Any, output: Any, ask: Ask, *, model: str, tier: str, seconds: int
) -> Usage | str:
    """The usage that a finished response states, or the flag that says why there is none. `seconds` is how long it took."""
    try:
        prompt, units, flags = _tokens(usage, facts_of(ask))
        fees = _fees(tool_usage, output if type(output) is list else [], facts_of(ask), seconds)
    except counts.UntrustedUsage as untrusted:
        return untrusted.flag
    return Usage(
        units=counts.nonzero((*units, *fees)),
        prompt_total=prompt,
        model_served=model,
        conditions=Conditions(service_tier=_tier(ask, tier)),
        raw=raw,
        flags=tuple(flags),
    )


def _tokens(usage: Mapping[str, Any], facts: Facts) -> tuple[int, list[tuple[str, int]], list[str]]:
    flags: list[str] = []
    details, said = counts.details(usage, "input_tokens_details"), counts.details(usage, "output_tokens_details")
    lasting = counts.details(details, "cache_write_tokens_details")
    known = ((usage, _KNOWN), (details, _KNOWN_INPUT), (said, _KNOWN_OUTPUT), (lasting, _KNOWN_TTLS))
    if any(counts.counts_unknown(part, names) for part, names in known):
        flags.append(counts.UNKNOWN_FIELD)
    prompt, output = counts.required(usage, "input_tokens"), counts.required(usage, "output_tokens")
    cached, written = counts.optional(details, "cached_tokens"), counts.optional(details, "cache_write_tokens")
    half_day, half_hour = counts.optional(lasting, "ttl_12h_tokens"), counts.optional(lasting, "ttl_30m_tokens")
    if half_day + half_hour != written and lasting:
        flags.append(counts.INCONSISTENT)
        written = max(written, half_day + half_hour)
    if facts.written_12h:
        half_day = written - half_hour
    if cached + written > prompt:
        flags.append(counts.INCONSISTENT)  # parts larger than their whole: read as if they came on top of it
        prompt += cached + written
    beyond = counts.optional(usage, "total_tokens") - prompt
    if usage.get("total_tokens") is not None and beyond != output:
        flags.append(counts.INCONSISTENT)
        output = max(output, beyond)
    if counts.optional(said, "reasoning_tokens") > output:
        flags.append(counts.INCONSISTENT)
        output += counts.optional(said, "reasoning_tokens")
    audio, image = _media(details, prompt, flags)
    parts = inputs.disjoint(prompt, cached=cached, written=written, audio=audio, image=image)
    half_day = min(half_day, parts.written)
    units = [
        *parts.units,
        (IN_CACHE_WRITE_30M, parts.written - half_day),
        (IN_CACHE_WRITE_12H, half_day),
        (OUT_TEXT, output),
    ]
    return prompt, units, flags


def _media(details: Mapping[str, Any], most: int, flags: list[str]) -> tuple[int, int]:
    """How much of the input was heard and seen, where that is told: parts of a whole."""
    audio, image = counts.optional(details, "audio_tokens"), counts.optional(details, "image_tokens")
    if audio + image > most:
        flags.append(counts.INCONSISTENT)
    audio = min(audio, most)
    return audio, min(image, most - audio)


def _fees(tool_usage: Any, output: Iterable[Any], facts: Facts, seconds: int) -> list[tuple[str, int]]:
    """Calls of the provider's tools: as it counts them where it does, else as they stand in the output."""
    items = [item for item in output if type(item) is dict]
    kinds = [kind for item in items if type(kind := item.get("type")) is str]
    if any(kind not in _NO_FEE and kind.endswith("_call") for kind in kinds):
        raise counts.UntrustedUsage(UNKNOWN_TOOL)
    containers = {as_text(place.get("container_id")) for item in items if (place := _container(item)) is not None}
    sessions = min(1 + seconds // SESSION_S, SESSIONS_MAX)
    return [
        (facts.search_unit or TOOL_WEB_SEARCH, _searches(tool_usage, items)),
        (TOOL_FILE_SEARCH, sum(item.get("type") == "file_search_call" for item in items)),
        (TOOL_CONTAINER_SESSIONS, len(containers) * max(facts.container_gb, 1) * sessions),
    ]


def _container(item: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What names the container that a call ran in; none where it ran in none."""
    if item.get("type") == "code_interpreter_call":
        return item
    environment = item.get("environment") if item.get("type") == "shell_call" else None
    return environment if type(environment) is dict and environment.get("type") != "local" else None


def _searches(tool_usage: Any, items: list[dict[str, Any]]) -> int:
    if type(tool_usage) is not dict:
        return _shown_searches(items)
    if any(value for name, value in tool_usage.items() if name not in _KNOWN_TOOLS):
        raise counts.UntrustedUsage(UNKNOWN_TOOL)
    pictures = counts.details(tool_usage, "image_gen")
    if counts.optional(pictures, "input_tokens") or counts.optional(pictures, "output_tokens"):
        raise counts.UntrustedUsage(IMAGE_NOT_ASKED)  # the tool is refused at the quote: whose model that was is not known
    if tool_usage.get("web_search") is None:
        return _shown_searches(items)
    return counts.optional(counts.details(tool_usage, "web_search"), "num_requests")


def _shown_searches(items: list[dict[str, Any]]) -> int:
    return sum(item.get("type") == "web_search_call" and _is_search(item.get("action")) for item in items)


def _is_search(action: Any) -> bool:
    """Opening and finding in a page cost nothing; an action of no kind that is known may be a search."""
    return type(action) is not dict or action.get("type") not in ("open_page", "find_in_page", "find")


def _tier(ask: Ask, served: str) -> str:
    """The tier that was used; where the answer does not say, the one that was asked for."""
    if served not in ("", "auto"):
        return "priority" if served == "fast" else served
    named = ask.demand.conditions[0].service_tier
    return named if named in ("priority", "ultrafast") else "default"
