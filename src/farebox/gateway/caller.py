"""What a caller says in `x-farebox-…` headers and with an Idempotency-Key: bounded, without control characters, never guessed at."""

import re
from collections.abc import Mapping
from hashlib import blake2b

from farebox import limits
from farebox.errors import InvalidRequest
from farebox.exchange import Exchange
from farebox.gateway.attempt import Caller
from farebox.money import NotMoneyError, parse_usd

_PLAIN = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
_TAG_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_ONCE = (
    b"x-farebox-tags",
    b"x-farebox-user",
    b"x-farebox-run",
    b"x-farebox-run-max-cost",
    b"x-farebox-max-cost",
    b"x-farebox-clamp",
    b"x-farebox-dry-run",
    b"idempotency-key",
)
_ALL = frozenset(_ONCE)
_NOBODY = Caller()


def read_caller(exchange: Exchange) -> Caller:
    """Reads the headers that Farebox defines. Raises InvalidRequest naming the one that is wrong."""
    named = exchange.named
    if _ALL.isdisjoint(named):
        return _NOBODY
    for name in _ONCE:
        if name in named and len({value for other, value in exchange.headers if other == name}) > 1:
            raise InvalidRequest(problem=f"The header {name.decode()} was sent twice with different values.")
    if b"x-farebox-run-max-cost" in named and b"x-farebox-run" not in named:
        raise InvalidRequest(problem="The header x-farebox-run-max-cost caps a run: name it with x-farebox-run.")
    return Caller(
        tags=_tags(_text(named, b"x-farebox-tags", limits.tag_pairs_max * limits.tag_bytes_max)),
        user=_text(named, b"x-farebox-user", limits.user_bytes_max),
        run=_text(named, b"x-farebox-run", limits.run_id_bytes_max),
        run_limit=_usd(named, b"x-farebox-run-max-cost"),
        ceiling=_usd(named, b"x-farebox-max-cost"),
        clamp=_switch(named, b"x-farebox-clamp"),
        dry_run=_switch(named, b"x-farebox-dry-run"),
        idempotency=_idempotency(exchange),
    )


def _text(named: Mapping[bytes, bytes], name: bytes, bytes_max: int) -> str:
    value = named.get(name)
    if value is None:
        return ""
    text = value.decode("latin-1").strip()
    if len(text) > bytes_max:
        raise InvalidRequest(problem=f"The header {name.decode()} is longer than {bytes_max} bytes.")
    if not _PLAIN.fullmatch(text):
        raise InvalidRequest(problem=f"The header {name.decode()} is empty or holds characters other than printable ASCII.")
    return text


def _tags(text: str) -> str:
    """`team=a,feature=b`, checked and in the order of names."""
    if not text:
        return ""
    pairs: dict[str, str] = {}
    for part in text.split(","):
        name, equals, value = part.strip().partition("=")
        if not equals or not _TAG_NAME.fullmatch(name) or not value or len(part) > limits.tag_bytes_max:
            raise InvalidRequest(problem="The header x-farebox-tags is not of the form team=a,feature=b.")
        if pairs.setdefault(name, value) != value:
            raise InvalidRequest(problem=f"The header x-farebox-tags names {name} twice.")
    if len(pairs) > limits.tag_pairs_max:
        raise InvalidRequest(problem=f"The header x-farebox-tags has more than {limits.tag_pairs_max} tags.")
    return ",".join(f"{name}={pairs[name]}" for name in sorted(pairs))


def _usd(named: Mapping[bytes, bytes], name: bytes) -> int | None:
    text = _text(named, name, 64)
    if not text:
        return None
    try:
        amount = parse_usd(text)
    except NotMoneyError as problem:
        raise InvalidRequest(problem=f"The header {name.decode()}: {problem}.") from None
    if amount < 0:
        raise InvalidRequest(problem=f"The header {name.decode()} is negative.")
    return amount


def _switch(named: Mapping[bytes, bytes], name: bytes) -> bool:
    value = named.get(name)
    if value not in (None, b"0", b"1"):
        raise InvalidRequest(problem=f"The header {name.decode()} is 1 or 0.")
    return value == b"1"


def _idempotency(exchange: Exchange) -> str:
    """The name under which a repeat is recognised: unique per (method, path, Idempotency-Key); the key's id is added by the ledger."""
    text = _text(exchange.named, b"idempotency-key", limits.idempotency_key_bytes_max)
    return blake2b(f"{exchange.method}\n{exchange.path}\n{text}".encode(), digest_size=20).hexdigest() if text else ""


def fingerprint(exchange: Exchange, body: bytes, caller: Caller) -> str:
    """What makes two requests of one Idempotency-Key the same: the body and every header that moves cost."""
    digest = blake2b(body, digest_size=20)
    moving = [(name, value) for name, value in exchange.headers if name.startswith(b"anthropic-")]
    if b"alt=sse" in exchange.query:
        digest.update(b"events")  # the same path answers in another format
    elif b"output_format=" in exchange.query:
        digest.update(exchange.query)
    digest.update(repr((sorted(moving), caller.ceiling, caller.clamp, caller.run, caller.run_limit)).encode())
    return digest.hexdigest()
