"""Bedrock's usage object into disjoint units (providers.md §4, Appendix B).

What was read from the cache or written to it is not in `inputTokens`; the total may leave it out, or not.
"""

from typing import Any

from farebox.dialects import counts
from farebox.dialects.base import Ask
from farebox.dialects.meter import as_text
from farebox.usage import IN_CACHE_READ, IN_CACHE_WRITE_1H, IN_CACHE_WRITE_5M, IN_TEXT, OUT_TEXT, Conditions, Usage

UNKNOWN_TTL = "unknown_cache_ttl"
_KNOWN = frozenset(
    (
        *("inputTokens", "outputTokens", "totalTokens", "cacheReadInputTokens", "cacheWriteInputTokens", "cacheDetails"),
        *("cacheReadInputTokenCount", "cacheWriteInputTokenCount"),  # the same numbers by other names
    )
)
_WRITE_UNITS = {"5m": IN_CACHE_WRITE_5M, "1h": IN_CACHE_WRITE_1H}


def read(usage: Any, raw: bytes, ask: Ask, *, tier: Any, performance: Any) -> Usage | str:
    """The usage that a report states, or the flag that says why there is none."""
    if usage is None:
        return counts.PARTIAL
    if type(usage) is not dict:
        return counts.ABSURD
    try:
        fresh, output = counts.required(usage, "inputTokens"), counts.required(usage, "outputTokens")
        cached, written = counts.optional(usage, "cacheReadInputTokens"), counts.optional(usage, "cacheWriteInputTokens")
        writes, sure = _writes(usage, written, ask)
        total = counts.optional(usage, "totalTokens")
    except counts.UntrustedUsage as untrusted:
        return untrusted.flag
    flags = [counts.UNKNOWN_FIELD] if counts.counts_unknown(usage, _KNOWN) else []
    split = sum(writes.values())
    prompt = fresh + cached + split
    if split != written or (total and total not in (prompt + output, fresh + output)):
        flags.append(counts.INCONSISTENT)
    return Usage(
        units=counts.nonzero(((IN_TEXT, fresh), (IN_CACHE_READ, cached), *writes.items(), (OUT_TEXT, max(output, total - prompt)))),
        prompt_total=prompt,
        conditions=_conditions(ask, tier, performance),
        completeness="exact" if sure else "estimated",
        raw=raw,
        flags=tuple(flags),
    )


def _writes(usage: dict[str, Any], written: int, ask: Ask) -> tuple[dict[str, int], bool]:
    """Cache writes by how long they stay; of those that are not told, the dearest that the request can have caused. And whether that is the
    only one that they can be.
    """
    details = usage.get("cacheDetails")
    if details is None:
        details = []
    if type(details) is not list:
        raise counts.UntrustedUsage(counts.ABSURD)
    found: dict[str, int] = {}
    for detail in details:
        if type(detail) is not dict:
            raise counts.UntrustedUsage(counts.ABSURD)
        unit, tokens = _WRITE_UNITS.get(as_text(detail.get("ttl"))), counts.required(detail, "inputTokens")
        if unit is None:
            raise counts.UntrustedUsage(UNKNOWN_TTL)
        found[unit] = found.get(unit, 0) + tokens
    rest, dearest = written - sum(found.values()), _dearest_write(ask)
    if rest > 0:
        found[dearest] = found.get(dearest, 0) + rest
    return found, rest == 0 or (rest > 0 and dearest == IN_CACHE_WRITE_5M)


def _dearest_write(ask: Ask) -> str:
    units = ask.demand.input_units
    return IN_CACHE_WRITE_5M if IN_CACHE_WRITE_5M in units and IN_CACHE_WRITE_1H not in units else IN_CACHE_WRITE_1H


def _conditions(ask: Ask, tier: Any, performance: Any) -> Conditions:
    """What the answer says it was served with; where it does not say, what was asked for."""
    asked = ask.demand.conditions[0]
    served = as_text(tier.get("type")) if type(tier) is dict else ""
    latency = as_text(performance.get("latency")) if type(performance) is dict else ""
    return Conditions(service_tier=served or asked.service_tier, speed=latency or asked.speed)
