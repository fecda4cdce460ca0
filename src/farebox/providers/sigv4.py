"""AWS Signature Version 4 over a request as it is sent. Pure: the moment is handed in.

The rule is that of the AWS General Reference, "Create a signed AWS API request". A path is encoded once more than it stands on the wire, as
every service but S3 wants it. Written here because the library that has it brings every service of AWS along (27 MB).
"""

import hmac
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from urllib.parse import parse_qsl, quote

import msgspec

from farebox.clock import US_PER_S

Headers = Sequence[tuple[bytes, bytes]]
ALGORITHM = "AWS4-HMAC-SHA256"
_SIGNED = frozenset((b"content-type", b"host"))
"""Of the headers that are there, beside those added here: what a proxy may change on the way is not signed."""
_UNRESERVED = "-_.~"
_SPACES = re.compile(r" +")
_END = "aws4_request"


class AwsKey(msgspec.Struct, frozen=True):
    """Who signs, and for which region."""

    access_key_id: str
    secret_access_key: str
    region: str
    session_token: str = ""
    """Of temporary credentials."""
    service: str = "bedrock"

    def __repr__(self) -> str:
        """Without its secrets."""
        return f"AwsKey({self.access_key_id}, {self.region})"


class Request(msgspec.Struct, frozen=True):
    """What is signed: exactly what is sent."""

    method: bytes
    target: bytes
    """Path and query, as they stand on the wire."""
    headers: Headers
    """Names in lower case, `host` among them."""
    body: bytes


def sign(key: AwsKey, request: Request, at_us: int) -> list[tuple[bytes, bytes]]:
    """The headers that a request gets so that it is signed. `at_us` is microseconds since 1970 UTC."""
    stamp = datetime.fromtimestamp(at_us // US_PER_S, UTC).strftime("%Y%m%dT%H%M%SZ")
    added = [(b"x-amz-date", stamp.encode())]
    if key.session_token:
        added.append((b"x-amz-security-token", key.session_token.encode()))
    signed = {name.decode(): _value(value) for name, value in (*request.headers, *added) if name in _SIGNED or name.startswith(b"x-amz-")}
    names = ";".join(sorted(signed))
    scope = "/".join((stamp[:8], key.region, key.service, _END))
    digest = sha256(_canonical(request, signed, names).encode()).hexdigest()
    signature = hmac.digest(_signing_key(key, stamp[:8]), f"{ALGORITHM}\n{stamp}\n{scope}\n{digest}".encode(), "sha256").hex()
    told = f"{ALGORITHM} Credential={key.access_key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
    return [*added, (b"authorization", told.encode())]


def _canonical(request: Request, signed: dict[str, str], names: str) -> str:
    path, _, query = request.target.decode("latin-1").partition("?")
    fields = sorted(
        (quote(name, safe=_UNRESERVED), quote(value, safe=_UNRESERVED)) for name, value in parse_qsl(query, keep_blank_values=True)
    )
    return "\n".join(
        (
            request.method.decode(),
            quote(path, safe="/" + _UNRESERVED),
            "&".join([f"{name}={value}" for name, value in fields]),
            "".join([f"{name}:{signed[name]}\n" for name in sorted(signed)]),
            names,
            sha256(request.body).hexdigest(),
        )
    )


def _value(value: bytes) -> str:
    return _SPACES.sub(" ", value.decode("latin-1").strip())


def _signing_key(key: AwsKey, day: str) -> bytes:
    made = f"AWS4{key.secret_access_key}".encode()
    for part in (day, key.region, key.service, _END):
        made = hmac.digest(made, part.encode(), "sha256")
    return made
