"""Recorded answers for repeats with the same Idempotency-Key. Encrypted with a key drawn from the caller's own secret, which is stored
nowhere: only who holds the gateway key can read what it was once answered, and a stolen database cannot.
"""

import os

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from farebox.exchange import Headers

_NONCE_BYTES = 12


class Recorded(msgspec.Struct, frozen=True):
    """An answer as it was given."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Recorded).decode


def _cipher(secret: str) -> AESGCM:
    return AESGCM(HKDF(SHA256(), 32, salt=None, info=b"farebox recorded answer").derive(secret.encode()))


def seal(secret: str, request_id: str, status: int, headers: Headers, body: bytes) -> bytes:
    """The answer, encrypted and bound to its request."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + _cipher(secret).encrypt(nonce, _encode(Recorded(status, headers, body)), request_id.encode())


def unseal(secret: str, request_id: str, sealed: bytes) -> Recorded | None:
    """The recorded answer; None when it cannot be read (the key was rotated since)."""
    try:
        return _decode(_cipher(secret).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], request_id.encode()))
    except (InvalidTag, msgspec.DecodeError):
        return None
