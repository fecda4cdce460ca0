"""Typed access to the members of a request: a wrong type is refused by name, a name that another reader might take for a known one too.

Owns the vocabulary of refusals about single fields. Does not own which fields an API has.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

import msgspec

from farebox import limits
from farebox.dialects.extras import NO_SETTING, BySetting, Extras
from farebox.dialects.strict import Members, shown
from farebox.errors import AmbiguousBody, CostUnbounded, InvalidRequest

INT_MAX = 2**31 - 1
"""The largest integer any of these APIs can mean by a number of tokens."""
OTHER_CAPS = dict.fromkeys(
    ("max_output_tokens", "max_new_tokens", "max_tokens_to_sample", "num_predict", "n_predict", "generation_config"),
    "it is another API's name for the output cap, and a lenient host might follow it.",
)
"""Costly in every dialect that does not know them."""
_UNKNOWN_NAMES_MAX = 32


def fold(name: str) -> str:
    """What a lenient reader might take a name for: case and word separators do not count."""
    return name.casefold().replace("_", "").replace("-", "")


class Names(msgspec.Struct, frozen=True):
    """The names one kind of object may have."""

    known: frozenset[str]
    """Looked at, or known to cost nothing."""
    costly: dict[str, str]
    """Names that move cost in a way that is not priced, with the reason."""
    folded: dict[str, str]
    """The names that must not appear in another spelling: every one that is read, and every costly one."""


def names(read: Iterable[str], harmless: Iterable[str] = (), costly: Mapping[str, str] | None = None) -> Names:
    """Names of an object: those this gateway reads, those that cannot move cost, and those whose cost has no bound."""
    read, costly = tuple(read), dict(costly or {})
    return Names(
        known=frozenset(read) | frozenset(harmless),
        costly=costly,
        folded={fold(name): name for name in (*read, *costly)},
    )


def examine(members: Members, allowed: Names, where: str = "", extras: Extras | None = None) -> tuple[str, ...]:
    """Refuses costly names, but for those that a setting admits, and other spellings of those that are read; gives the unknown ones, which
    pass.
    """
    if allowed.known.issuperset(members):
        return ()
    unknown = members.keys() - allowed.known
    for name in sorted(unknown):
        if name in allowed.costly:
            if members[name] not in (None, False, []):
                _take(where + name, allowed.costly[name], members[name], extras)
        elif (meant := allowed.folded.get(fold(name))) is not None:
            raise AmbiguousBody(problem=f"`{where}{shown(name)}` could be read as `{meant}`.", field=where + shown(name))
    return tuple(shown(name) for name in sorted(unknown - allowed.costly.keys())[:_UNKNOWN_NAMES_MAX])


def refuse_cost(field: str, why: str) -> NoReturn:
    """The cost of the request has no upper bound because of one field, and no setting gives it one."""
    raise CostUnbounded(field=field, why=str(why), setting=NO_SETTING)


def _take(field: str, why: str, holds: Any, extras: Extras | None) -> None:
    """Once for each, where a field holds several."""
    if extras is None or not isinstance(why, BySetting):
        refuse_cost(field, why)
    for one in holds if type(holds) is list else [holds]:
        extras.take(field, why, holds=one)


def invalid(field: str, problem: str) -> InvalidRequest:
    """A field whose value cannot be used."""
    return InvalidRequest(problem=f"`{field}` {problem}.", field=field)


def too_many_objects() -> InvalidRequest:
    """More is named than can be looked up."""
    return InvalidRequest(problem=f"The request names more than {limits.request_objects_max} objects that the provider keeps.")


def text(members: Members, name: str, *, length_max: int) -> str:
    """A required, non-empty string."""
    value = members.get(name)
    if type(value) is not str or not value:
        raise invalid(name, "is required and must be a string")
    if len(value) > length_max or not value.isprintable():
        raise invalid(name, f"must be at most {length_max} printable characters")
    return value


def flag(members: Members, name: str, where: str = "") -> bool:
    """A boolean; absent and null are false."""
    value = members.get(name)
    if value is None:
        return False
    if type(value) is not bool:
        raise invalid(where + name, "must be true or false")
    return value


def integer(members: Members, name: str, *, least: int, most: int = INT_MAX, where: str = "") -> int | None:
    """An integer in a range; absent and null are None. Neither a boolean nor 1.0 is an integer here."""
    value = members.get(name)
    if value is None:
        return None
    if type(value) is not int:
        raise invalid(where + name, "must be an integer")
    if not least <= value <= most:
        raise invalid(where + name, f"must be between {least} and {most}")
    return value


def word(members: Members, name: str, where: str = "") -> str | None:
    """A string; absent and null are None."""
    value = members.get(name)
    if value is None or type(value) is str:
        return value
    raise invalid(where + name, "must be a string")


def inner(members: Members, name: str, where: str = "") -> Members | None:
    """An object; absent and null are None."""
    value = members.get(name)
    if value is None or type(value) is dict:
        return value
    raise invalid(where + name, "must be an object")


def objects(value: Any, field: str) -> list[Members]:
    """A list of objects."""
    if type(value) is not list:
        raise invalid(field, "must be a list")
    for item in value:
        if type(item) is not dict:
            raise invalid(field, "must hold objects only")
    return value
