"""Numbers of a provider's usage object: what may be trusted and what not.

Owns the difference between a missing number and an absurd one. Does not own which numbers an API reports.
"""

from collections.abc import Iterable, Mapping
from typing import Any

TOKENS_MAX = 10**12
"""More than any call can consume: a number above it is a fault of the provider."""

ABSURD = "absurd_usage"
PARTIAL = "partial_usage"
INCONSISTENT = "inconsistent_usage"
UNKNOWN_FIELD = "unknown_usage_field"


class UntrustedUsage(Exception):
    """The usage object cannot be charged from."""

    def __init__(self, flag: str) -> None:
        self.flag = flag
        super().__init__(flag)


def required(usage: Mapping[str, Any], name: str) -> int:
    """A number without which the usage is partial."""
    if usage.get(name) is None:
        raise UntrustedUsage(PARTIAL)
    return optional(usage, name)


def optional(usage: Mapping[str, Any], name: str) -> int:
    """A number that counts as zero where it is absent or null."""
    value = usage.get(name)
    if value is None:
        return 0
    if type(value) is not int or not 0 <= value <= TOKENS_MAX:
        raise UntrustedUsage(ABSURD)
    return value


def details(usage: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A breakdown; empty where it is absent or null."""
    value = usage.get(name)
    if value is None:
        return {}
    if type(value) is not dict:
        raise UntrustedUsage(ABSURD)
    return value


def counts_unknown(usage: Mapping[str, Any], known: frozenset[str]) -> bool:
    """Whether a field that is not known counts something."""
    return any(type(usage[name]) is int and usage[name] > 0 for name in usage.keys() - known)


def nonzero(units: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Units of which there were any, summed by name."""
    found: dict[str, int] = {}
    for unit, quantity in units:
        if quantity:
            found[unit] = found.get(unit, 0) + quantity
    return found
