"""Where a gateway key may stand in a request, and that there is only one.

Owns finding the key. Does not own whether it is valid. A message about a key never repeats it.
"""

from urllib.parse import parse_qsl

from farebox import limits
from farebox.dialects.base import Headers, Route
from farebox.errors import InvalidKey

_PLAIN = frozenset((b"x-api-key", b"x-goog-api-key", b"api-key", b"xi-api-key"))
_QUERY_FIELDS_MAX = 64
CREDENTIAL_HEADERS = _PLAIN | {b"authorization"}
"""Never forwarded, never logged."""


def find_key(headers: Headers, query: bytes, route: Route) -> str:
    """The one key that a request carries. Raises InvalidKey where there is none, or where two differ."""
    found: set[str] = set()
    for name, value in headers:
        if name in _PLAIN:
            found.add(_text(value))
        elif name == b"authorization":
            found.add(_bearer(_text(value)))
    if route.dialect == "gemini":
        found.update(_from_query(query))
    found.discard("")
    if not found:
        raise InvalidKey(detail="No key was sent: use `Authorization: Bearer …` or `x-api-key`.")
    if len(found) > 1:
        raise InvalidKey(detail="Several keys were sent, and they differ.")
    key = found.pop()
    if len(key) > limits.key_length_max or not (key.isascii() and key.isprintable()) or " " in key:
        raise InvalidKey(detail="What was sent cannot be a key: it is too long or holds characters that no key has.")
    return key


def _text(value: bytes) -> str:
    return value.decode("latin-1").strip(" \t")


def _bearer(value: str) -> str:
    scheme, _, token = value.partition(" ")
    if scheme.startswith("AWS4-"):
        raise InvalidKey(detail="Signed requests are not taken: set AWS_BEARER_TOKEN_BEDROCK to a key of this gateway.")
    if value and scheme.lower() != "bearer":
        raise InvalidKey(detail="The Authorization header must be `Bearer` and the key.")
    return token.strip(" \t")


def _from_query(query: bytes) -> list[str]:
    try:
        pairs = parse_qsl(query.decode("latin-1"), max_num_fields=_QUERY_FIELDS_MAX)
    except ValueError:
        raise InvalidKey(detail="The query has too many fields.") from None
    return [value for name, value in pairs if name == "key"]
