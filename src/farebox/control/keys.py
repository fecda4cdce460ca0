"""Making and changing keys: what a body asks into commands of the ledger. The routes and a command line use it alike."""

from typing import Any, Literal

import msgspec
from pydantic import Field

from farebox.control.body import Body
from farebox.control.caller import Admin, Asked
from farebox.control.fields import BasisPoints, Count, Id, Metadata, Models, Moment, Name, Note, Tags, Usd
from farebox.control.keyviews import RESETS
from farebox.control.office import Office, conflict
from farebox.control.problems import Problem
from farebox.gateway.identify import hash_of
from farebox.ids import new_id
from farebox.keyformat import label_of, new_secret, repeatable_secret
from farebox.ledger.commands import Conflict, Done, EditKey, IssueKey, OpenAccount, Refused
from farebox.ledger.model import Clamp, Key
from farebox.store.reports import KeyView, Reports

Reset = Literal["daily", "weekly", "monthly"]
_SAME_NAME = ("name", "models", "expires_at", "default_max_output_tokens", "clamp", "unknown_fields", "tags", "metadata")


class RateLimits(Body):
    """Null: no such limit."""

    requests_per_minute: Count | None = None
    tokens_per_minute: Count | None = None
    concurrent: Count | None = None


class KeyFields(Body):
    """What of a key may be set at any time."""

    name: Name = ""
    limit: Usd | None = None
    limit_reset: Reset | None = None
    no_limit: bool = False
    models: Models = Field(default_factory=list)
    expires_at: Moment | None = None
    default_max_output_tokens: Count | None = None
    clamp: Clamp = "unnamed"
    unknown_fields: Literal["pass", "refuse"] = "pass"
    rate_limits: RateLimits = RateLimits()
    tags: Tags = Field(default_factory=dict)
    metadata: Metadata = Field(default_factory=dict)
    disabled: bool = False
    markup_basis_points: BasisPoints | None = None
    markup_fixed_usd: Usd | None = None
    accept_loss: bool = False

    @property
    def loses(self) -> bool:
        return self.markup_basis_points is not None and self.markup_basis_points < 0 and not self.accept_loss


class KeyIn(KeyFields):
    """A new key of an account, or of the customer that a back office knows by its own name (made if new)."""

    account: Id | None = None
    external_user: Id | None = None


class KeyPatch(KeyFields):
    """What of a key is to change; what is not there stays as it is."""

    @classmethod
    def unknown(cls, name: str) -> str:
        return "is fixed when a key is made" if name in KeyIn.model_fields else super().unknown(name)


class Why(Body):
    """A reason, shown to whoever is refused because of it."""

    why: Note = ""


class Issued(msgspec.Struct, frozen=True):
    """A key that was made, or was made before by the same request."""

    key_id: str
    secret: str
    repeated: bool


def secret_for(caller: Admin, asked: Asked) -> str:
    """A new secret; the same again for a repeat of the same request by the same admin key."""
    return repeatable_secret("gateway", caller.secret, asked.id) if asked.repeatable else new_secret("gateway")


async def issue(office: Office, caller: Admin, asked: Asked, body: KeyIn) -> Issued:
    """Makes a key. Raises a Problem."""
    if body.limit is None and not body.no_limit:
        raise _field("limit", 'a key needs a cap: give a limit in dollars, or say "no_limit": true')
    if body.limit is not None and body.no_limit:
        raise _field("no_limit", "a key has a limit or has none")
    if body.loses:
        raise below_cost()
    account = await _account(office, caller, asked, body)
    secret = secret_for(caller, asked)
    key = Key(new_id("key"), account, "", hash_of(secret), label_of(secret), 0)
    key = msgspec.structs.replace(key, **_changes(body, set(KeyIn.model_fields)))
    done = await office.do(IssueKey(asked.id, key, body.limit))
    return Issued(done.ids["key"], secret, done.repeated)


async def _account(office: Office, caller: Admin, asked: Asked, body: KeyIn) -> str:
    """The account a key is for. A customer known by an outside name is looked up, and made where there is none: under `account` or the
    caller's scope if there is one, else as a root.
    """
    parent = body.account
    if parent is not None:
        await office.named_account(caller.scope, "account", parent)
    if body.external_user is None:
        if parent is None:
            raise _field("account", "name the account that the key is for, or an external_user")
        return parent
    name, above = body.external_user, parent or caller.scope
    known = await office.read(lambda reports: _customer(reports, caller, name, above))
    if known is not None:
        return known
    if await office.read(lambda reports: reports.command(asked.id)) is not None:
        raise conflict()  # the id made a key before, and it was for somebody else
    opened = OpenAccount(
        f"{asked.id}:external_user", new_id("acc"), own_wallet=above is None, parent=above, name=name, kind="customer", external_id=name
    )
    outcome = await office.context.batcher.one(opened)
    if isinstance(outcome, Done):
        return outcome.ids["account"]
    if isinstance(outcome, Conflict):
        raise conflict()
    known = await office.read(lambda reports: _customer(reports, caller, name, above))  # somebody else made it meanwhile
    if known is None:
        why = outcome.reason if isinstance(outcome, Refused) else "it was not made"
        raise Problem("invalid_change", f"The account of {name!r} could not be made: {why}.")
    return known


def _customer(reports: Reports, caller: Admin, name: str, above: str | None) -> str | None:
    found = reports.account_by_external_id(name)
    if found is None:
        return None
    if not reports.within(found.id, caller.scope) or (above is not None and not reports.within(found.id, above)):
        raise Problem("external_id_taken", f"{name!r} is the external id of an account elsewhere.")
    return found.id


async def edit(office: Office, asked: Asked, key: Key, body: KeyPatch) -> Done:
    """Changes what is named. Raises a Problem."""
    given = body.model_fields_set
    if body.loses:
        raise below_cost()
    if body.limit is not None and body.no_limit:
        raise _field("no_limit", "a key has a limit or has none")
    if "limit" in given and body.limit is None and not body.no_limit:
        raise _field("limit", 'to take the cap away, say "no_limit": true')
    changes = _changes(body, given, key)
    if "disabled" in given:
        changes["status"] = "paused" if body.disabled else "active"
    limit: int | Literal[""] | None = body.limit if "limit" in given or body.no_limit else ""
    return await office.do(EditKey(asked.id, key.id, changes, limit))


async def set_status(office: Office, asked: Asked, key: Key, status: str, why: str = "") -> Done:
    """Pauses, resumes or revokes. Raises a Problem."""
    return await office.do(EditKey(asked.id, key.id, {"status": status, "status_why": why}))


async def rotate(office: Office, caller: Admin, asked: Asked, key: Key) -> Issued:
    """Gives a key another secret; the old one is refused from the next request on. Raises a Problem."""
    secret = secret_for(caller, asked)
    done = await office.do(EditKey(asked.id, key.id, {"hash": hash_of(secret), "label": label_of(secret)}))
    return Issued(key.id, secret, done.repeated)


def _changes(body: KeyFields, given: set[str], before: Key | None = None) -> dict[str, Any]:
    """The fields of the ledger's key that a body sets, as plain values."""
    changes: dict[str, Any] = {name: getattr(body, name) for name in _SAME_NAME if name in given}
    if "models" in changes and before is None:
        changes["models"] = tuple(body.models)
    if "limit_reset" in given:
        changes["limit_reset"] = RESETS.get(body.limit_reset or "")
    if "rate_limits" in given:
        rates = body.rate_limits
        asked = set(RateLimits.model_fields) if before is None else rates.model_fields_set
        changes |= {name: getattr(rates, name) for name in asked}
    if "markup_basis_points" in given:
        changes["markup_basis_points"] = body.markup_basis_points
    if "markup_fixed_usd" in given:
        changes["markup_fixed_nano"] = body.markup_fixed_usd
    if before is None and body.disabled:
        changes["status"] = "paused"
    return changes


def views(reports: Reports, keys: list[Key]) -> list[tuple[KeyView, int | None]]:
    """Keys with their numbers, and when each was last used."""
    now, used = reports.now(), reports.last_used(keys)
    return [(reports.key_view(key, now), used.get(key.id)) for key in keys]


def below_cost() -> Problem:
    return Problem("below_cost", 'A negative markup sells below the provider\'s price: say "accept_loss": true if that is meant.')


def _field(name: str, words: str) -> Problem:
    return Problem("invalid_request", f"{name}: {words}", errors=[{"field": name, "problem": words}])
