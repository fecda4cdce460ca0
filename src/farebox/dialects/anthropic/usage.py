"""Anthropic's usage object into disjoint units (providers.md §2.1, Appendix B).

The API's buckets are disjoint already: the prompt is input + cache writes + cache reads. `output_tokens` is the authoritative total.
"""

from typing import Any

import msgspec

from farebox.dialects import counts
from farebox.dialects.base import Ask
from farebox.dialects.meter import as_text
from farebox.usage import (
    IN_CACHE_READ,
    IN_CACHE_WRITE_1H,
    IN_CACHE_WRITE_5M,
    IN_TEXT,
    OUT_TEXT,
    TOOL_WEB_SEARCH,
    Conditions,
    Usage,
)

UNKNOWN_ITERATION = "unknown_iteration"
SEVERAL_ITERATIONS = "several_iterations"
UNKNOWN_TOOL = "unknown_tool"
_KNOWN = frozenset(
    (
        *("input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "cache_creation"),
        *("output_tokens_details", "server_tool_use", "service_tier", "speed", "inference_geo", "iterations", "fallback_credit"),
    )
)
_KNOWN_TTLS = frozenset(("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens"))
_KNOWN_TOOLS = frozenset(("web_search_requests", "web_fetch_requests"))
_KNOWN_ITERATIONS = frozenset(("message", "compaction", "advisor_message", "fallback_message"))


class Parts(msgspec.Struct):
    """A usage object as mappings, and the bytes it was read from."""

    usage: dict[str, Any]
    raw: bytes


def overlaid(start: Parts | None, last: Parts) -> Parts:
    """The final usage of a stream: what the start said, overlaid by the last delta wherever that is not null."""
    if start is None:
        return last
    usage = {**start.usage, **{name: value for name, value in last.usage.items() if value is not None}}
    return Parts(usage, b'{"message_start":' + start.raw + b',"message_delta":' + last.raw + b"}")


def read(parts: Parts, ask: Ask, *, model_served: str, stop_reason: str) -> Usage | str:
    """The usage that a final report states, or the flag that says why there is none."""
    try:
        _check_iterations(parts.usage)
        output = counts.required(parts.usage, "output_tokens")
        prompt, inputs, flags = _inputs(parts.usage, ask)
        units = counts.nonzero((*inputs, (OUT_TEXT, output), *_tools(parts.usage)))
    except counts.UntrustedUsage as untrusted:
        return untrusted.flag
    if stop_reason == "refusal" and output == 0:
        units = {}  # declined before any output: the counts are informational, nothing is billed
    return Usage(
        units=units,
        prompt_total=prompt,
        model_served=model_served,
        conditions=_conditions(parts.usage, ask),
        raw=parts.raw,
        flags=tuple(flags),
    )


def read_input(parts: Parts, ask: Ask, *, model_served: str) -> Usage | None:
    """The exact input of a stream that has only begun."""
    try:
        prompt, inputs, flags = _inputs(parts.usage, ask)
    except counts.UntrustedUsage:
        return None
    return Usage(
        units=counts.nonzero(inputs),
        prompt_total=prompt,
        model_served=model_served,
        conditions=_conditions(parts.usage, ask),
        raw=parts.raw,
        flags=tuple(flags),
    )


def _inputs(usage: dict[str, Any], ask: Ask) -> tuple[int, list[tuple[str, int]], list[str]]:
    flags: list[str] = []
    fresh = counts.required(usage, "input_tokens")
    cached = counts.optional(usage, "cache_read_input_tokens")
    split = counts.details(usage, "cache_creation")
    written_5m = counts.optional(split, "ephemeral_5m_input_tokens")
    written_1h = counts.optional(split, "ephemeral_1h_input_tokens")
    written = counts.optional(usage, "cache_creation_input_tokens")
    rest = written - written_5m - written_1h
    if rest and split:
        flags.append(counts.INCONSISTENT)
    if counts.counts_unknown(usage, _KNOWN) or counts.counts_unknown(split, _KNOWN_TTLS):
        flags.append(counts.UNKNOWN_FIELD)
    rest = max(rest, 0)
    inputs = [
        (IN_TEXT, fresh),
        (IN_CACHE_READ, cached),
        (IN_CACHE_WRITE_5M, written_5m),
        (IN_CACHE_WRITE_1H, written_1h),
        (_dearest_write(ask), rest),
    ]
    return fresh + cached + written_5m + written_1h + rest, inputs, flags


def _dearest_write(ask: Ask) -> str:
    """What cache writes of unstated lifetime are charged as: the dearest the request can have caused."""
    units = ask.demand.input_units
    return IN_CACHE_WRITE_5M if IN_CACHE_WRITE_5M in units and IN_CACHE_WRITE_1H not in units else IN_CACHE_WRITE_1H


def _check_iterations(usage: dict[str, Any]) -> None:
    """Beyond one plain message the top-level counts are not the whole bill, and what is was refused at the quote."""
    iterations = usage.get("iterations")
    if iterations is None or iterations == []:
        return
    if type(iterations) is not list or not all(type(item) is dict for item in iterations):
        raise counts.UntrustedUsage(counts.ABSURD)
    kinds = [item.get("type") for item in iterations]
    if kinds == ["message"]:
        return
    known = all(type(kind) is str and kind in _KNOWN_ITERATIONS for kind in kinds)
    raise counts.UntrustedUsage(SEVERAL_ITERATIONS if known else UNKNOWN_ITERATION)


def _tools(usage: dict[str, Any]) -> list[tuple[str, int]]:
    tools = counts.details(usage, "server_tool_use")
    if counts.counts_unknown(tools, _KNOWN_TOOLS):
        raise counts.UntrustedUsage(UNKNOWN_TOOL)
    counts.optional(tools, "web_fetch_requests")  # free, but must be a number
    return [(TOOL_WEB_SEARCH, counts.optional(tools, "web_search_requests"))]


def _conditions(usage: dict[str, Any], ask: Ask) -> Conditions:
    """What the answer says it was served with; where it does not say, what was asked for."""
    asked = ask.demand.conditions[0]
    tier = as_text(usage.get("service_tier"))
    geo = as_text(usage.get("inference_geo"))
    return Conditions(
        service_tier="default" if tier in ("", "standard", "batch") else tier,
        speed=as_text(usage.get("speed")) or asked.speed,
        geo=asked.geo if not geo else "global" if geo == "not_available" else geo,
        batch=tier == "batch",
    )
