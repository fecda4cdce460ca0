"""Where a gateway key may stand in a request, and that there is only one.

Owns finding the key. Does not own whether it is valid. A message about a key never repeats it.
"""

from urllib.parse import parse_qsl

from farebox import limits
from farebox.dialects.base import Headers, Route
from farebox.errors import InvalidKey

_QUERY_FIELDS_MAX = 64
CREDENTIAL_HEADERS = frozenset((b"authorization", b"x-api-key", b"x-goog-api-key", b"api-key", b"xi-api-key"))
"""Never forwarded, never logged."""
_BEARER = b"Bearer "


def find_key(headers: Headers, query: bytes, route: Route) -> str:
    """The one key that a request carries. Raises InvalidKey where there is none, or where two differ."""
    found = [_said(name, value) for name, value in headers if name in CREDENTIAL_HEADERS]
    if route.dialect == "gemini":
        found += _from_query(query)
    if len(found) != 1:
        found = [key for key in dict.fromkeys(found) if key]
    if len(found) > 1:
        raise InvalidKey(detail="Several keys were sent, and they differ.")
    if not found or not found[0]:
        raise InvalidKey(detail="No key was sent: use `Authorization: Bearer …` or `x-api-key`.")
    key = found[0]
    if len(key) > limits.key_length_max or not (key.isascii() and key.isprintable()) or " " in key:
        raise InvalidKey(detail="What was sent cannot be a key: it is too long or holds characters that no key has.")
    return key


def _said(name: bytes, value: bytes) -> str:
    if name == b"authorization":
        if value.startswith(_BEARER):
            value = value[len(_BEARER) :]
        else:
            return _bearer(value.decode("latin-1").strip(" \t"))
    return value.decode("latin-1").strip(" \t")


def _bearer(value: str) -> str:
    """The key in another spelling of `Bearer`."""
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
