"""Ids: a prefix that says what it names, then 32 hexadecimal digits that sort by time (48 bits of milliseconds, 80 random bits)."""

import os
import time

_MOMENT_BYTES = 6
_RANDOM_BYTES = 10
_POOL_IDS = 256
_pool: list[str] = []


def new_id(prefix: str) -> str:
    """A new id such as `key_019ab1c3…`: unique, opaque, sorting by the time it was made."""
    moment = (time.time_ns() // 1_000_000).to_bytes(_MOMENT_BYTES, "big").hex()
    try:
        return f"{prefix}_{moment}{_pool.pop()}"
    except IndexError:
        return f"{prefix}_{moment}{_drawn()}"


def _drawn() -> str:
    """80 random bits in hexadecimal. Drawn from the system in bulk: one call per id would let other threads in each time."""
    drawn = os.urandom(_RANDOM_BYTES * _POOL_IDS).hex()
    step = _RANDOM_BYTES * 2
    _pool.extend([drawn[at : at + step] for at in range(step, len(drawn), step)])
    return drawn[:step]


def first_id(prefix: str, at_ms: int) -> str:
    """The lowest id of this prefix that can have been made at or after a time in milliseconds: the start of a range of ids."""
    return f"{prefix}_{at_ms:012x}{'0' * (_RANDOM_BYTES * 2)}"


def time_ms_of(identifier: str) -> int:
    """When an id was made, in milliseconds since 1970 UTC. Raises ValueError for what is no id."""
    return int(identifier.partition("_")[2][:12], 16)
