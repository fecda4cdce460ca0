"""Anthropic's usage object into disjoint units (providers.md §2.1, Appendix B).

The API's buckets are disjoint already: the prompt is input + cache writes + cache reads. `output_tokens` is the authoritative total.
Where the model ran more than once, `iterations` are the bill, each run at its own model, and the counts at the top are not.
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
    Completeness,
    Conditions,
    Usage,
)

UNKNOWN_ITERATION = "unknown_iteration"
UNKNOWN_TOOL = "unknown_tool"
_KNOWN = frozenset(
    (
        *("input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "cache_creation"),
        *("type", "model"),  # of an iteration
        *("output_tokens_details", "server_tool_use", "service_tier", "speed", "inference_geo", "iterations", "fallback_credit"),
    )
)
_KNOWN_TTLS = frozenset(("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens"))
_KNOWN_TOOLS = frozenset(("web_search_requests", "web_fetch_requests"))
_ANSWERING = frozenset(("message", "fallback_message"))
_KNOWN_RUNS = _ANSWERING | {"compaction", "advisor_message"}


class Parts(msgspec.Struct):
    """A usage object as mappings, and the bytes it was read from."""

    usage: dict[str, Any]
    raw: bytes


class _Input(msgspec.Struct):
    prompt: int
    units: list[tuple[str, int]]
    flags: list[str]
    completeness: Completeness
    """An estimate where cache writes may have been of a cheaper lifetime, or fewer, than what is charged for them."""


def overlaid(start: Parts | None, last: Parts) -> Parts:
    """The final usage of a stream: what the start said, overlaid by the last delta wherever that is not null."""
    if start is None:
        return last
    usage = {**start.usage, **{name: value for name, value in last.usage.items() if value is not None}}
    return Parts(usage, b'{"message_start":' + start.raw + b',"message_delta":' + last.raw + b"}")


def read(parts: Parts, ask: Ask, *, model_served: str, stop_reason: str) -> Usage | str:
    """The usage that a final report states, or the flag that says why there is none."""
    try:
        if (runs := _runs(parts.usage)) is not None:
            return _by_runs(runs, parts, ask, model_served, refused=stop_reason == "refusal")
        output = counts.required(parts.usage, "output_tokens")
        found = _inputs(parts.usage, ask)
        units = counts.nonzero((*found.units, (OUT_TEXT, output), *_tools(parts.usage)))
    except counts.UntrustedUsage as untrusted:
        return untrusted.flag
    if stop_reason == "refusal" and output == 0:
        units = {}  # declined before any output: the counts are informational, nothing is billed
    return Usage(
        units=units,
        prompt_total=found.prompt,
        model_served=model_served,
        conditions=_conditions(parts.usage, ask),
        completeness=found.completeness if units else "exact",
        raw=parts.raw,
        flags=tuple(found.flags),
    )


def read_input(parts: Parts, ask: Ask, *, model_served: str) -> Usage | None:
    """The exact input of a stream that has only begun."""
    try:
        found = _inputs(parts.usage, ask)
    except counts.UntrustedUsage:
        return None
    return Usage(
        units=counts.nonzero(found.units),
        prompt_total=found.prompt,
        model_served=model_served,
        conditions=_conditions(parts.usage, ask),
        completeness=found.completeness,
        raw=parts.raw,
        flags=tuple(found.flags),
    )


def _inputs(usage: dict[str, Any], ask: Ask) -> _Input:
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
    dearest = _dearest_write(ask)
    sure = rest == 0 or (rest > 0 and dearest == IN_CACHE_WRITE_5M)
    rest = max(rest, 0)
    inputs = [
        (IN_TEXT, fresh),
        (IN_CACHE_READ, cached),
        (IN_CACHE_WRITE_5M, written_5m),
        (IN_CACHE_WRITE_1H, written_1h),
        (dearest, rest),
    ]
    return _Input(fresh + cached + written_5m + written_1h + rest, inputs, flags, "exact" if sure else "estimated")


def _dearest_write(ask: Ask) -> str:
    """What cache writes of unstated lifetime are charged as: the dearest the request can have caused."""
    units = ask.demand.input_units
    return IN_CACHE_WRITE_5M if IN_CACHE_WRITE_5M in units and IN_CACHE_WRITE_1H not in units else IN_CACHE_WRITE_1H


def _runs(usage: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Every run of a model that the answer lists; None where there was one plain one, which the top of the usage states."""
    iterations = usage.get("iterations")
    if iterations is None or iterations == []:
        return None
    if type(iterations) is not list or not all(type(item) is dict for item in iterations):
        raise counts.UntrustedUsage(counts.ABSURD)
    kinds = [item.get("type") for item in iterations]
    if kinds == ["message"]:
        return None
    if not all(type(kind) is str and kind in _KNOWN_RUNS for kind in kinds):
        raise counts.UntrustedUsage(UNKNOWN_ITERATION)
    return iterations


def _by_runs(runs: list[dict[str, Any]], parts: Parts, ask: Ask, model_served: str, *, refused: bool) -> Usage:
    """Each run at its own model. An attempt to answer that declined before any output is not billed; tools are counted at the top."""
    answering = [index for index, run in enumerate(runs) if run["type"] in _ANSWERING]
    conditions, tools = _conditions(parts.usage, ask), _tools(parts.usage)
    found: list[tuple[bool, Usage]] = []
    flags: list[str] = []
    completeness: Completeness = "exact"
    for index, run in enumerate(runs):
        answers = index in answering
        output = counts.required(run, "output_tokens")
        read_in = _inputs(run, ask)
        flags += read_in.flags
        if answers and output == 0 and _declined(runs, index, answering, refused=refused):
            continue
        if read_in.completeness != "exact":
            completeness = read_in.completeness
        units = counts.nonzero((*read_in.units, (OUT_TEXT, output)))
        model = as_text(run.get("model")) or model_served
        at_speed = conditions if not answers or index == answering[-1] else _before(conditions, model, ask)
        found.append((answers, Usage(units, read_in.prompt, model, at_speed)))
    at = max((index for index, (answers, _) in enumerate(found) if answers), default=None)
    main = found.pop(at)[1] if at is not None else Usage({}, 0, model_served, conditions)
    return msgspec.structs.replace(
        main,
        units={**main.units, **counts.nonzero(tools)},
        completeness=completeness,
        raw=parts.raw,
        flags=tuple(dict.fromkeys(flags)),
        others=tuple(usage for _, usage in found),
    )


def _declined(runs: list[dict[str, Any]], index: int, answering: list[int], *, refused: bool) -> bool:
    """Whether an attempt without output declined: another model went on, or the whole answer is a refusal. Else it had nothing to say."""
    after = [at for at in answering if at > index]
    if not after:
        return refused
    following, own = runs[after[0]], as_text(runs[index].get("model"))
    return as_text(following.get("model")) != own or (not own and following["type"] == "fallback_message")


def _before(served: Conditions, model: str, ask: Ask) -> Conditions:
    """The conditions of an attempt before the one that answered: the answer tells the speed of that one alone, where attempts differ in it."""
    asked = ask.demand.conditions[0].speed
    own = {other.model: other.demand.conditions[0].speed for other in ask.demand.others}
    if all(speed == asked for speed in own.values()):
        return served
    return msgspec.structs.replace(served, speed=own.get(model, asked))


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
