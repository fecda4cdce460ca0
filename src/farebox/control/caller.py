"""Who is asking: an admin key with its scope, or a gateway key about itself. And by which id a command is known."""

from hmac import compare_digest
from typing import Annotated

import msgspec
from fastapi import Depends, Header, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from farebox import limits
from farebox.clock import to_rfc3339
from farebox.control.office import Office
from farebox.control.problems import Problem
from farebox.ids import new_id
from farebox.keyformat import fingerprint_of
from farebox.ledger.model import Key
from farebox.store.reports import AdminKey, Reports

BEARER = HTTPBearer(auto_error=False, scheme_name="key", description="An admin key; on /key, /credits and /generation a gateway key too.")
_CHALLENGE = {"www-authenticate": "Bearer"}


class Admin(msgspec.Struct, frozen=True):
    """Whoever holds an admin key. `scope` None: the whole installation."""

    id: str
    scope: str | None
    name: str
    secret: str


class Own(msgspec.Struct, frozen=True):
    """Whoever holds a gateway key: may ask about it, and nothing else."""

    key: Key


def office_of(request: Request) -> Office:
    """The office of the app that serves this request."""
    office: Office = request.app.state.office
    return office


AnOffice = Annotated[Office, Depends(office_of)]
_Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)]


async def anyone(office: AnOffice, bearer: _Bearer) -> Admin | Own:
    """Raises a Problem unless a good key was sent."""
    return await identify(office, "" if bearer is None else bearer.credentials.strip())


async def identify(office: Office, secret: str) -> Admin | Own:
    """Whose key this is. Raises a Problem."""
    if not secret:
        raise Problem("invalid_key", "Send `Authorization: Bearer` and a key.", headers=_CHALLENGE)
    if len(secret) > limits.key_length_max or not secret.isascii():
        raise Problem("invalid_key", "What was sent cannot be a key.", headers=_CHALLENGE)
    found = await office.read(lambda reports: _find(reports, secret))
    if found is None:
        raise Problem("invalid_key", "This is not a key of this gateway, or it was revoked.", headers=_CHALLENGE)
    return found


def _find(reports: Reports, secret: str) -> Admin | Own | None:
    digest = fingerprint_of(secret)
    admin = reports.admin_key(digest)
    if admin is not None and admin.revoked_at is None and compare_digest(admin.hash, digest):
        return _admin(admin, secret)
    key = reports.key(digest) if admin is None else None
    if key is None or not compare_digest(key.hash, digest) or key.status == "revoked":
        return None
    if key.expires_at is not None and reports.now() >= key.expires_at:
        raise Problem("key_expired", f"This key expired at {to_rfc3339(key.expires_at)}.", headers=_CHALLENGE)
    return Own(key)


def _admin(admin: AdminKey, secret: str) -> Admin:
    return Admin(admin.id, admin.scope, admin.name, secret)


async def admin_only(caller: Annotated[Admin | Own, Depends(anyone)]) -> Admin:
    """Raises a Problem for gateway keys."""
    if isinstance(caller, Own):
        raise Problem("gateway_key_cannot_administer", "This is a gateway key: it may ask /key, /credits and /generation about itself.")
    return caller


async def full_scope(caller: Annotated[Admin, Depends(admin_only)]) -> Admin:
    """Raises a Problem for admin keys of one account."""
    if caller.scope is not None:
        raise Problem("needs_full_scope", "This concerns the whole installation, and the admin key is for one account and those below it.")
    return caller


class Asked(msgspec.Struct, frozen=True):
    """The id of the command that a request gives: the caller's own name for it, or a new one."""

    id: str
    repeatable: bool


async def asked(
    caller: Annotated[Admin, Depends(admin_only)],
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=limits.idempotency_key_bytes_max,
            pattern=r"^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$",
            description="Makes the request safe to repeat: it is carried out once, and a repeat is answered as the first was.",
        ),
    ] = None,
) -> Asked:
    """What a command of this request is known by."""
    if idempotency_key is None:
        return Asked(new_id("cmd"), repeatable=False)
    return Asked(f"api:{caller.id}:{idempotency_key}", repeatable=True)


Anyone = Annotated[Admin | Own, Depends(anyone)]
AnAdmin = Annotated[Admin, Depends(admin_only)]
AFullAdmin = Annotated[Admin, Depends(full_scope)]
AnAsk = Annotated[Asked, Depends(asked)]
