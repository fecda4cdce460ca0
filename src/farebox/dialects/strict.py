"""Reading a request body so that no second reader can understand it differently.

Owns what makes a JSON body acceptable before any field is looked at: UTF-8, one object, no name twice in any object, bounded depth
and number of values. Does not own what a field means.
"""

import json
import re
from typing import Any, NoReturn

import msgspec

from farebox import limits
from farebox.errors import AmbiguousBody, InvalidRequest, TooLarge

Members = dict[str, Any]

_WALK_FROM_BYTES = 32 * limits.KIB
"""From here on looking at the values costs less than counting brackets in the text."""
_BYTES_PER_VALUE_MIN = 2
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_NAME_SHOWN_CHARS = 64
_READER = msgspec.json.Decoder()
_WRITER = msgspec.json.Encoder()
_UNSURE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
BACKSLASH = ord("\\")
"""A byte as a number is looked for much faster than as bytes."""
_SPELLED_COLON = b"\\u003"
"""How that of an escape for a colon begins, whose last digit has two spellings."""


def read_object(body: bytes) -> Members:
    """The members of a JSON object. Raises InvalidRequest, AmbiguousBody or TooLarge."""
    if len(body) > limits.request_body_bytes_max:
        raise TooLarge(what="request body", limit=f"{limits.request_body_bytes_max} bytes")
    if len(body) >= limits.request_json_values_max * _BYTES_PER_VALUE_MIN:
        _check_number_of_values(body)
    value = _surely(body)
    if value is None:
        value = _carefully(body)
    if type(value) is not dict:
        raise InvalidRequest(problem="The body must be a JSON object.")
    _check_depth(body, value)
    return value


def _surely(body: bytes) -> Any:
    """What a body says where a fast reader takes it and no name is twice in one object; None where that is not sure.

    That reader keeps the last of several members of one name. Written again, what it kept has a colon for each member and those of its texts:
    as many as the body, unless a member is gone, or a text had a colon spelled as an escape.
    """
    try:
        value = _READER.decode(body)
        again = _WRITER.encode(value)
    except _UNSURE:
        return None
    if again == body:
        return value
    if BACKSLASH in body and _SPELLED_COLON in body:
        return None
    return value if _count(b":", again) == _count(b":", body) else None


def _carefully(body: bytes) -> Any:
    """What a body says by the slow reader, which alone has the last word on what is refused, and how."""
    try:
        return _DECODER.decode(body.decode())
    except UnicodeDecodeError as error:
        raise InvalidRequest(problem=f"The body is not UTF-8 (byte {error.start}).") from None
    except json.JSONDecodeError as error:
        raise InvalidRequest(problem=f"The body is not JSON: {error.msg} at character {error.pos}.") from None
    except ValueError:  # an integer of more digits than the interpreter reads
        raise InvalidRequest(problem="The body holds a number with too many digits.") from None
    except RecursionError:
        raise _too_deep() from None


def _count(mark: bytes, body: bytes) -> int:
    """How often a byte occurs. `bytes.count` looks at each byte in turn; this leaps from one to the next."""
    return len(body) - len(body.replace(mark, b""))


def shown(name: str) -> str:
    """A name from a body, fit for a message or a label: short, printable."""
    text = name if name.isprintable() else ascii(name)[1:-1]
    return text if len(text) <= _NAME_SHOWN_CHARS else text[: _NAME_SHOWN_CHARS - 1] + "…"


def _object(pairs: list[tuple[str, Any]]) -> Members:
    members = dict(pairs)
    if len(members) != len(pairs):
        _refuse_duplicate(pairs)
    return members


def _refuse_duplicate(pairs: list[tuple[str, Any]]) -> NoReturn:
    seen: set[str] = set()
    twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
    raise AmbiguousBody(problem=f"The name `{shown(twice)}` appears twice in one object.", field=shown(twice))


def _refuse_constant(text: str) -> NoReturn:
    raise InvalidRequest(problem=f"The body is not JSON: {text} is not a JSON number.")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_refuse_constant)


def _too_deep() -> InvalidRequest:
    return InvalidRequest(problem=f"The body is nested deeper than {limits.request_json_depth_max} levels.")


def _check_depth(body: bytes, value: Members) -> None:
    if len(body) < _WALK_FROM_BYTES and _count(b"{", body) + _count(b"[", body) <= limits.request_json_depth_max:
        return
    level: list[Any] = [value]
    for _ in range(limits.request_json_depth_max):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer)
            if type(inner) is dict or type(inner) is list
        ]
        if not level:
            return
    raise _too_deep()


def _check_number_of_values(body: bytes) -> None:
    """Refuses bodies that would grow to a multiple of their size in memory: millions of tiny values."""
    values_max = limits.request_json_values_max
    if _marks(body) > values_max and _marks(_STRING.sub(b"", body)) > values_max:
        raise TooLarge(what="number of JSON values in the body", limit=values_max)


def _marks(text: bytes) -> int:
    return text.count(b",") + text.count(b"[") + text.count(b"{")
