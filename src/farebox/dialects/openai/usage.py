"""OpenAI's usage object into disjoint units (providers.md §1.1, §4, Appendix B).

`prompt_tokens` includes what was read from and written to the cache; `completion_tokens` includes reasoning and audio. Hosts that
speak this dialect deviate; what they report is read so that the larger meaning is charged.
"""

import json
from typing import Annotated, Any, Literal

import msgspec

from farebox.dialects import counts
from farebox.dialects.base import Ask
from farebox.dialects.meter import UNREADABLE, as_text
from farebox.dialects.openai import inputs
from farebox.dialects.openai.hosts import OPENAI, Host
from farebox.money import NotMoneyError, parse_pico_up
from farebox.usage import (
    IN_CACHE_READ,
    IN_CACHE_WRITE_1H,
    IN_CACHE_WRITE_12H,
    IN_CACHE_WRITE_30M,
    IN_TEXT,
    OUT_AUDIO,
    OUT_CITATION,
    OUT_REASONING,
    OUT_TEXT,
    PLAIN,
    REQUESTS,
    REQUESTS_HIGH,
    REQUESTS_LOW,
    REQUESTS_MEDIUM,
    TOOL_WEB_SEARCH,
    Conditions,
    Usage,
)

_PICO_PER_TICK = 100  # xAI: 1 USD = 1e10 ticks
_KNOWN = frozenset(
    (
        *("prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", "completion_tokens_details"),
        *("prompt_cache_hit_tokens", "prompt_cache_miss_tokens", "cache_read_input_tokens", "reasoning_tokens"),
        *("cost", "cost_details", "is_byok", "cost_in_usd_ticks", "prompt_audio_seconds", "service_tier"),
    )
)
_SEARCHED = {"low": REQUESTS_LOW, "medium": REQUESTS_MEDIUM, "high": REQUESTS_HIGH}
_KNOWN_SEARCHING = _KNOWN | {"citation_tokens", "num_search_queries"}
_KNOWN_PROMPT = frozenset(("cached_tokens", "cache_write_tokens", "audio_tokens", "image_tokens", "text_tokens"))
_KNOWN_COMPLETION = frozenset(
    ("reasoning_tokens", "audio_tokens", "accepted_prediction_tokens", "rejected_prediction_tokens", "text_tokens")
)


def read(raw: bytes, ask: Ask, *, model_served: str, tier_served: str, host: Host = OPENAI) -> Usage | str:
    """The usage that a final report states, or the flag that says why there is none."""
    return plain(raw, ask, model_served, tier_served, host) or careful(raw, ask, model_served, tier_served, host)


def careful(raw: bytes, ask: Ask, model_served: str, tier_served: str, host: Host) -> Usage | str:
    """The same for any report, plain or not."""
    usage = _decoded(raw)
    if type(usage) is not dict:
        return counts.ABSURD
    try:
        units, prompt, flags = _units(usage, host, _write_unit(ask))
    except counts.UntrustedUsage as untrusted:
        return untrusted.flag
    return Usage(
        units=units,
        prompt_total=prompt,
        model_served=model_served,
        conditions=Conditions(service_tier=_tier(ask, tier_served)),
        reported_cost_pico=_reported_cost(usage),
        raw=raw,
        flags=tuple(dict.fromkeys(flags)),
    )


_Tokens = Annotated[int, msgspec.Meta(ge=0, le=counts.TOKENS_MAX)]


class _PlainPrompt(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    cached_tokens: _Tokens = 0
    cache_write_tokens: _Tokens = 0
    audio_tokens: Literal[0] = 0
    image_tokens: Literal[0] | None = 0
    text_tokens: int | None = 0


class _PlainCompletion(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    reasoning_tokens: _Tokens = 0
    audio_tokens: Literal[0] = 0
    accepted_prediction_tokens: _Tokens = 0
    rejected_prediction_tokens: _Tokens = 0
    text_tokens: int | None = 0


class _Plain(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A report without media, in the words that OpenAI has: nearly all of them. Anything else is read above."""

    prompt_tokens: _Tokens
    completion_tokens: _Tokens
    total_tokens: _Tokens
    prompt_tokens_details: _PlainPrompt | None = None
    completion_tokens_details: _PlainCompletion | None = None


_PLAIN = msgspec.json.Decoder(_Plain)
_NO_PROMPT = _PlainPrompt()
_NO_COMPLETION = _PlainCompletion()


def plain(raw: bytes, ask: Ask, model_served: str, tier_served: str, host: Host) -> Usage | None:
    """The usage that a plain and consistent report states; None for any other. Says the same as `careful` does."""
    if host.reasoning != "inside":
        return None
    try:
        usage = _PLAIN.decode(raw)
    except UNREADABLE:
        return None
    prompt, completion = usage.prompt_tokens, usage.completion_tokens
    of_prompt, reasoning = usage.prompt_tokens_details or _NO_PROMPT, (usage.completion_tokens_details or _NO_COMPLETION).reasoning_tokens
    cached, written = of_prompt.cached_tokens, of_prompt.cache_write_tokens
    fresh = prompt - cached - written
    if fresh < 0 or reasoning > completion or usage.total_tokens != prompt + completion:
        return None
    units = {IN_TEXT: fresh} if fresh else {}
    if cached:
        units[IN_CACHE_READ] = cached
    if written:
        units[_write_unit(ask)] = written
    if completion:
        units[OUT_TEXT] = completion
    tier = _tier(ask, tier_served)
    conditions = PLAIN if tier == PLAIN.service_tier else Conditions(tier)
    return Usage(units, prompt, model_served, conditions, "exact", None, raw)


class _Fraction(str):
    """A number that is not an integer, as it was written."""

    __slots__ = ()


_DECODER = json.JSONDecoder(parse_float=_Fraction)


def _decoded(raw: bytes) -> Any:
    try:
        return _DECODER.decode(raw.decode())
    except (ValueError, RecursionError):
        return None


def _units(usage: dict[str, Any], host: Host, write_unit: str) -> tuple[dict[str, int], int, list[str]]:
    flags: list[str] = []
    prompt_details = counts.details(usage, "prompt_tokens_details")
    completion_details = counts.details(usage, "completion_tokens_details")
    if (
        counts.counts_unknown(usage, _KNOWN_SEARCHING if host.searches else _KNOWN)
        or counts.counts_unknown(prompt_details, _KNOWN_PROMPT)
        or counts.counts_unknown(completion_details, _KNOWN_COMPLETION)
    ):
        flags.append(counts.UNKNOWN_FIELD)
    prompt, into = _inputs(usage, prompt_details, write_unit, flags)
    outputs = _outputs(usage, completion_details, flags, host)
    units = counts.nonzero((*into, *outputs))
    return units | _searches(usage) if host.searches and units else units, prompt, flags


def _searches(usage: dict[str, Any]) -> dict[str, int]:
    """A fee for the request by how much it was allowed to find; one for each search where it does not say that."""
    unit = _SEARCHED.get(as_text(usage.get("search_context_size")))
    if unit:
        return {REQUESTS: 0, unit: 1}
    queries = counts.optional(usage, "num_search_queries")
    return {REQUESTS: 0, TOOL_WEB_SEARCH: queries} if queries else {}


def _inputs(usage: dict[str, Any], details: Any, write_unit: str, flags: list[str]) -> tuple[int, list[tuple[str, int]]]:
    prompt = counts.required(usage, "prompt_tokens")
    written = counts.optional(details, "cache_write_tokens")
    audio, image = counts.optional(details, "audio_tokens"), counts.optional(details, "image_tokens")
    cached = _cached(usage, details)
    if cached + written > prompt or audio + image > prompt:
        flags.append(counts.INCONSISTENT)  # parts larger than their whole: read as if they came on top of it
        prompt += cached + written + audio + image
    parts = inputs.disjoint(prompt, cached=cached, written=written, audio=audio, image=image)
    return prompt, [*parts.units, (write_unit, parts.written)]


def _write_unit(ask: Ask) -> str:
    """What is written to the cache is one number, whatever was asked for: all of it for the longest."""
    asked = ask.demand.input_units
    return next((unit for unit in (IN_CACHE_WRITE_12H, IN_CACHE_WRITE_1H) if unit in asked), IN_CACHE_WRITE_30M)


def _cached(usage: dict[str, Any], details: Any) -> int:
    for holder, name in ((details, "cached_tokens"), (usage, "prompt_cache_hit_tokens"), (usage, "cache_read_input_tokens")):
        if holder.get(name) is not None:
            return counts.optional(holder, name)
    return 0


def _outputs(usage: dict[str, Any], details: Any, flags: list[str], host: Host) -> list[tuple[str, int]]:
    completion = counts.required(usage, "completion_tokens")
    beyond_prompt = counts.optional(usage, "total_tokens") - counts.optional(usage, "prompt_tokens")
    audio = counts.optional(details, "audio_tokens")
    reasoning = max(counts.optional(details, "reasoning_tokens"), counts.optional(usage, "reasoning_tokens"))
    output = max(completion, beyond_prompt)
    if host.reasoning == "apart":
        apart = [(OUT_REASONING, reasoning), (OUT_CITATION, counts.optional(usage, "citation_tokens"))]
        return [(OUT_TEXT, output), *apart]
    if host.reasoning == "beside":
        output = max(output, completion + reasoning)
    if reasoning > output:
        output = completion + reasoning
        flags.append(counts.INCONSISTENT)
    elif _disagree(output, completion, reasoning, host) or (usage.get("total_tokens") is not None and completion > beyond_prompt):
        flags.append(counts.INCONSISTENT)
    if audio > output:
        flags.append(counts.INCONSISTENT)
        return [(OUT_TEXT, output), (OUT_AUDIO, audio)]
    return [(OUT_TEXT, output - audio), (OUT_AUDIO, audio)]


def _disagree(output: int, completion: int, reasoning: int, host: Host) -> bool:
    """Whether the total has more than its parts. A host that counts reasoning beside the completion need not say how much of it there was."""
    return output > completion + reasoning and (host.reasoning == "inside" or reasoning > 0)


def _tier(ask: Ask, served: str) -> str:
    """The tier that was used; where the answer does not say, the one that was asked for (the first of what may be billed)."""
    if served not in ("", "auto"):
        return "priority" if served == "fast" else served
    conditions = ask.demand.conditions
    named = conditions[0].service_tier
    return named if named == "priority" else "default"


def _reported_cost(usage: dict[str, Any]) -> int | None:
    ticks = usage.get("cost_in_usd_ticks")
    if type(ticks) is int and ticks >= 0:
        return ticks * _PICO_PER_TICK
    cost = usage.get("cost")
    if type(cost) is dict:
        cost = cost.get("total_cost")
    if type(cost) not in (int, _Fraction):
        return None
    try:
        pico = parse_pico_up(str(cost))
    except NotMoneyError:
        return None
    return pico if pico >= 0 else None
