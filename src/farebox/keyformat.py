"""What the secrets of keys look like: a prefix that says whose they are, 40 random characters, 6 that check the rest. And their labels.

Owns the form, by which people and secret scanners recognise a key that lies where it should not. Does not own whether a key is valid:
that is its hash in the store, and a key of another form (chosen by an operator) is as good.
"""

import secrets
import zlib
from hashlib import sha256
from hmac import digest
from typing import Literal

Kind = Literal["gateway", "admin"]
PREFIXES: dict[Kind, str] = {"gateway": "fbx_", "admin": "fba_"}
BODY_CHARS = 40
CHECK_CHARS = 6
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SEED_BYTES = 32
_LABEL_HEAD = 8
_LABEL_TAIL = 4


def new_secret(kind: Kind) -> str:
    """A new secret of 238 random bits."""
    return _secret(kind, secrets.token_bytes(_SEED_BYTES))


def repeatable_secret(kind: Kind, owner: str, name: str) -> str:
    """The same secret whenever the same owner (the secret of an admin key) asks for it by the same name (a command's id): how an answer
    that was lost can be given again although the store knows no secrets. Without the owner's secret it cannot be worked out.
    """
    return _secret(kind, digest(owner.encode(), f"farebox {kind} key\n{name}".encode(), "sha256"))


def _secret(kind: Kind, seed: bytes) -> str:
    body = PREFIXES[kind] + _base62(int.from_bytes(seed, "big"), BODY_CHARS)
    return body + _check(body)


def kind_of(secret: str) -> Kind | None:
    """Whose key a text is by its form; None when it is none, or has a character wrong."""
    for kind, prefix in PREFIXES.items():
        if secret.startswith(prefix) and len(secret) == len(prefix) + BODY_CHARS + CHECK_CHARS:
            body, check = secret[:-CHECK_CHARS], secret[-CHECK_CHARS:]
            return kind if check == _check(body) else None
    return None


def label_of(secret: str) -> str:
    """What may be shown of a secret."""
    return f"{secret[:_LABEL_HEAD]}…{secret[-_LABEL_TAIL:]}"


def fingerprint_of(secret: str) -> str:
    """What is stored of an admin key. A plain digest: its secret has more random bits than can be guessed."""
    return sha256(secret.encode()).hexdigest()


def _check(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), CHECK_CHARS)


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
