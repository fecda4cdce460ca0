"""AWS Signature Version 4, checked as the provider checks it: the signature is calculated again from what arrived. Pure; signs nothing.

The rule is the one of the AWS General Reference, "Create a signed AWS API request"; the path is encoded once more than it is on the wire.
"""

import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from urllib.parse import parse_qsl, quote

import msgspec

from .refusals import RefusedError

SKEW_S_MAX = 300
ALGORITHM = b"AWS4-HMAC-SHA256"
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 +Credential=([^/,\s]+)/(\d{8})/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request, *SignedHeaders=([a-z0-9;-]+), *Signature=([0-9a-f]{64})",
    re.ASCII,
)
_SPACES = re.compile(r" +")
_SERVICE = "bedrock"
_SAFE = "-_.~"


class Signed(msgspec.Struct, frozen=True):
    """What is signed of a request."""

    method: str
    path: str
    """As it stands on the wire, without the query."""
    query: str
    headers: Mapping[bytes, bytes]
    """Names in lower case."""
    body: bytes


class _Claim(msgspec.Struct, frozen=True):
    """What the authorization header says."""

    key_id: str
    scope: tuple[str, str, str]
    """Day, region, service."""
    names: tuple[str, ...]
    signature: str


def check(signed: Signed, secrets: Mapping[str, str], now_s: int) -> None:
    """Raises `RefusedError` in the provider's words where the signature is not the one of a known key over this very request."""
    claim = _claimed(signed.headers.get(b"authorization", b"").decode("latin-1"))
    secret = secrets.get(claim.key_id)
    if secret is None:
        raise RefusedError(403, "The security token included in the request is invalid.", code="UnrecognizedClientException")
    stamp = signed.headers.get(b"x-amz-date", b"").decode("latin-1")
    _check_scope(claim, stamp, now_s)
    if not hmac.compare_digest(_signature(signed, claim, stamp, secret), claim.signature):
        raise _mismatch(
            "The request signature we calculated does not match the signature you provided. "
            "Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
        )


def _claimed(authorization: str) -> _Claim:
    found = _AUTHORIZATION.fullmatch(authorization)
    if found is None:
        raise RefusedError(403, "Authorization header is not a Signature Version 4 header.", code="IncompleteSignatureException")
    key_id, day, region, service, names, signature = found.groups()
    return _Claim(key_id, (day, region, service), tuple(names.split(";")), signature)


def _check_scope(claim: _Claim, stamp: str, now_s: int) -> None:
    day, _, service = claim.scope
    try:
        signed_s = int(datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp())
    except ValueError:
        raise _mismatch("Date must be in ISO-8601 'basic format'.") from None
    if not stamp.startswith(day):
        raise _mismatch(
            f"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{day}' != '{stamp[:8]}'."
        )
    if service != _SERVICE:
        raise _mismatch(f"Credential should be scoped to correct service: '{_SERVICE}'. ")
    if abs(now_s - signed_s) > SKEW_S_MAX:
        now = datetime.fromtimestamp(now_s, UTC).strftime("%Y%m%dT%H%M%SZ")
        raise _mismatch(f"Signature expired: {stamp} is now outside the {SKEW_S_MAX // 60} minutes around {now}")
    if "host" not in claim.names:
        raise _mismatch("'Host' must be a 'SignedHeader' in the AWS Authorization.")


def _signature(signed: Signed, claim: _Claim, stamp: str, secret: str) -> str:
    scope = "/".join((*claim.scope, "aws4_request"))
    digest = sha256(_canonical(signed, claim).encode("utf-8", "surrogateescape")).hexdigest()
    key = f"AWS4{secret}".encode()
    for part in (*claim.scope, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, f"{ALGORITHM.decode()}\n{stamp}\n{scope}\n{digest}".encode(), "sha256").hex()


def _canonical(signed: Signed, claim: _Claim) -> str:
    fields = parse_qsl(signed.query, keep_blank_values=True)
    query = "&".join(sorted(f"{quote(name, safe=_SAFE)}={quote(value, safe=_SAFE)}" for name, value in fields))
    headers = "".join([f"{name}:{_value(signed.headers, name)}\n" for name in claim.names])
    digest = sha256(signed.body).hexdigest()
    return "\n".join((signed.method, quote(signed.path, safe="/" + _SAFE), query, headers, ";".join(claim.names), digest))


def _value(headers: Mapping[bytes, bytes], name: str) -> str:
    return _SPACES.sub(" ", headers.get(name.encode(), b"").decode("utf-8", "surrogateescape").strip())


def _mismatch(message: str) -> RefusedError:
    return RefusedError(403, message, code="InvalidSignatureException")
