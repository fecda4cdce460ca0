"""Gemini's usage object into disjoint units (providers.md §3.1, Appendix B).

The prompt includes what came from the cache, the candidates do not include the thoughts, and what tools put into the prompt stands beside it.
"""

from collections.abc import Collection, Iterable
from typing import Any

import msgspec

from farebox.dialects import counts
from farebox.dialects.base import Ask
from farebox.dialects.meter import as_text
from farebox.usage import (
    IN_AUDIO,
    IN_CACHE_READ,
    IN_CACHE_READ_AUDIO,
    IN_CACHE_READ_IMAGE,
    IN_IMAGE,
    IN_TEXT,
    IN_VIDEO,
    OUT_AUDIO,
    OUT_IMAGE,
    OUT_TEXT,
    OUT_VIDEO,
    Completeness,
    Conditions,
    Usage,
)

UNKNOWN_MODALITY = "unknown_modality"
_TEXT = "TEXT"
_FRESH = {_TEXT: IN_TEXT, "AUDIO": IN_AUDIO, "IMAGE": IN_IMAGE, "DOCUMENT": IN_IMAGE, "VIDEO": IN_VIDEO}
_CACHED = {
    _TEXT: IN_CACHE_READ,
    "AUDIO": IN_CACHE_READ_AUDIO,
    "IMAGE": IN_CACHE_READ_IMAGE,
    "DOCUMENT": IN_CACHE_READ_IMAGE,
    "VIDEO": IN_CACHE_READ_IMAGE,
}
_OUT = {_TEXT: OUT_TEXT, "AUDIO": OUT_AUDIO, "IMAGE": OUT_IMAGE, "DOCUMENT": OUT_TEXT, "VIDEO": OUT_VIDEO}
_KNOWN = frozenset(
    (
        *("promptTokenCount", "cachedContentTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "toolUsePromptTokenCount"),
        *("totalTokenCount", "promptTokensDetails", "cacheTokensDetails", "candidatesTokensDetails", "toolUsePromptTokensDetails"),
        *("trafficType", "serviceTier", "promptTokenDetails"),
    )
)
_PROMPT_DETAILS = ("promptTokensDetails", "promptTokenDetails")
"""The second is what embeddings call it."""
_MEDIA = {"VIDEO": IN_VIDEO, "AUDIO": IN_AUDIO, "IMAGE": IN_IMAGE}
"""Dearest first, where something is embedded or generated. Of what is read to generate, sound is, and the others cost what text does."""
_PAID_AS_USED = "ON_DEMAND_"
_TIERS = {
    "": "",
    "ON_DEMAND": "",
    "PROVISIONED_THROUGHPUT": "",
    "TRAFFIC_TYPE_UNSPECIFIED": "",
    "STANDARD": "default",
    "UNSPECIFIED": "default",
    "SERVICE_TIER_UNSPECIFIED": "default",
}


class Parts(msgspec.Struct):
    """A usage object as a mapping, and the bytes it was read from."""

    usage: dict[str, Any]
    raw: bytes


class _Input(msgspec.Struct):
    prompt: int
    units: list[tuple[str, int]]
    flags: list[str]
    completeness: Completeness


def read(parts: Parts, ask: Ask, *, model_served: str, fees: dict[str, int], shown: Collection[str] = ()) -> Usage | str:
    """The usage that a final report states, or the flag that says why there is none. `fees` are counted in the answer itself, and `shown` are
    the modalities of the media in it: tokens of which nothing is told are of the dearest.
    """
    usage = parts.usage
    try:
        found = _input(usage, ask)
        candidates, thoughts = counts.optional(usage, "candidatesTokenCount"), counts.optional(usage, "thoughtsTokenCount")
        unstated = next((modality for modality in _MEDIA if modality in shown), _TEXT)
        output, odd = _by_modality(usage, "candidatesTokensDetails", candidates, unstated)
        total = counts.required(usage, "totalTokenCount")
    except counts.UntrustedUsage as untrusted:
        return untrusted.flag
    flags = found.flags + odd
    more = total - found.prompt - candidates - thoughts
    if more:
        flags.append(counts.INCONSISTENT)
    output[_TEXT] = output.get(_TEXT, 0) + thoughts + max(more, 0)
    units = [*found.units, *((_OUT[modality], tokens) for modality, tokens in output.items()), *fees.items()]
    if unstated != _TEXT and candidates and not usage.get("candidatesTokensDetails"):
        found.completeness = "estimated"
    return _usage(parts, ask, model_served, found, units, flags)


def read_input(parts: Parts, ask: Ask, *, model_served: str) -> Usage | str:
    """The input alone: of a stream that has only begun, or of a call without output. Else the flag that says why there is none."""
    try:
        found = _input(parts.usage, ask)
    except counts.UntrustedUsage as untrusted:
        return untrusted.flag
    return _usage(parts, ask, model_served, found, found.units, found.flags)


def _usage(parts: Parts, ask: Ask, model_served: str, found: _Input, units: Iterable[tuple[str, int]], flags: list[str]) -> Usage:
    if counts.counts_unknown(parts.usage, _KNOWN):
        flags.append(counts.UNKNOWN_FIELD)
    return Usage(
        units=counts.nonzero(units),
        prompt_total=found.prompt,
        model_served=model_served,
        conditions=_conditions(parts.usage, ask),
        completeness=found.completeness,
        raw=parts.raw,
        flags=tuple(dict.fromkeys(flags)),
    )


def _input(usage: dict[str, Any], ask: Ask) -> _Input:
    total, cached_total = counts.required(usage, "promptTokenCount"), counts.optional(usage, "cachedContentTokenCount")
    of_tools = counts.optional(usage, "toolUsePromptTokenCount")
    told = next((name for name in _PROMPT_DETAILS if usage.get(name)), _PROMPT_DETAILS[0])
    unstated = _TEXT if usage.get(told) else _asked(ask)
    prompt, odd = _by_modality(usage, told, total, unstated)
    tools, odd_tools = _by_modality(usage, "toolUsePromptTokensDetails", of_tools)
    if usage.get("cacheTokensDetails"):
        cached, odd_cached = _by_modality(usage, "cacheTokensDetails", cached_total)
    else:
        cached, odd_cached = _spread(cached_total, prompt), []
    flags = odd + odd_tools + odd_cached
    units: list[tuple[str, int]] = [(_CACHED[modality], tokens) for modality, tokens in cached.items()]
    for modality in prompt.keys() | cached.keys() | tools.keys():
        fresh = prompt.get(modality, 0) - cached.get(modality, 0)
        if fresh < 0:
            flags.append(counts.INCONSISTENT)
        units.append((_FRESH[modality], max(fresh, 0) + tools.get(modality, 0)))
    return _Input(max(total, cached_total) + of_tools, sorted(units), flags, "exact" if unstated == _TEXT or not total else "estimated")


def _asked(ask: Ask) -> str:
    """The dearest modality that the request has: what its tokens are charged as where nothing is told of them."""
    dear = ("AUDIO",) if ask.demand.output_units else _MEDIA
    return next((modality for modality in dear if _MEDIA[modality] in ask.demand.input_units), _TEXT)


def _by_modality(usage: dict[str, Any], name: str, total: int, unstated: str = _TEXT) -> tuple[dict[str, int], list[str]]:
    """Tokens by modality: what no modality is named for is `unstated`. More of them than there are in all are believed."""
    said = usage.get(name)
    if said is not None and type(said) is not list:
        raise counts.UntrustedUsage(counts.ABSURD)
    found: dict[str, int] = {}
    for detail in said or ():
        if type(detail) is not dict:
            raise counts.UntrustedUsage(counts.ABSURD)
        tokens = counts.optional(detail, "tokenCount")
        modality = as_text(detail.get("modality")) or _TEXT
        if modality not in _FRESH and tokens:
            raise counts.UntrustedUsage(UNKNOWN_MODALITY)
        found[modality] = found.get(modality, 0) + tokens
    rest = total - sum(found.values())
    if rest > 0:
        found[unstated] = found.get(unstated, 0) + rest
    return {modality: tokens for modality, tokens in found.items() if tokens}, [counts.INCONSISTENT] if said and rest else []


def _spread(tokens: int, over: dict[str, int]) -> dict[str, int]:
    """Cached tokens of unstated modality: text first, for it is the dearest to be wrong about."""
    found: dict[str, int] = {}
    for modality in sorted(over, key=lambda name: name != _TEXT):
        found[modality] = min(tokens, over[modality])
        tokens -= found[modality]
    if tokens:
        found[_TEXT] = found.get(_TEXT, 0) + tokens
    return {modality: number for modality, number in found.items() if number}


def _conditions(usage: dict[str, Any], ask: Ask) -> Conditions:
    """The tier the answer says it was served at; where it does not say, the one asked for."""
    told = as_text(usage.get("serviceTier")).upper() or as_text(usage.get("trafficType")).removeprefix(_PAID_AS_USED)
    tier = _TIERS.get(told, told.lower())
    return Conditions(service_tier=tier) if tier else ask.demand.conditions[0]
