"""Who asks, and who pays: keys and accounts into what is laid down for them. Remembers both for its event loop.

What is remembered of a payer may be stale: the ledger answers `requote` then, and it is read again. A caller is read again every second.
"""

import asyncio
from collections import OrderedDict
from functools import partial

import msgspec

from farebox import limits
from farebox.control.caller import Admin, Own, identify
from farebox.control.office import Office
from farebox.control.problems import Problem, not_found
from farebox.gateway.identify import hash_of
from farebox.gateway.quote import allowed
from farebox.gateway.sharing import Shared
from farebox.ids import new_id
from farebox.keyformat import label_of, new_secret
from farebox.ledger.commands import Done, IssueKey, Refused
from farebox.ledger.model import Key
from farebox.ledger.plan import Policy
from farebox.store.reports import Reports

Caller = Admin | Own
_CALLERS_MAX = 10_000
HOUSE_KEY = "work not proxied"
"""The name of the key that an account's own holds and events belong to: made when it is first needed, and then a key like any other."""


class Callers:
    """Whose keys were sent."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._known: OrderedDict[bytes, tuple[float, Caller]] = OrderedDict()
        """Until when a caller is believed, by its credential in one spelling: others, which may be long, are not kept."""
        self._reading: Shared[Caller] = Shared()

    def known(self, sent: bytes) -> Caller | None:
        """Who sent this credential, where that was read within the last moment and it is written as it is remembered."""
        known = self._known.get(sent)
        return known[1] if known is not None and asyncio.get_running_loop().time() < known[0] else None

    async def of(self, sent: bytes) -> Caller:
        """Raises a Problem unless a good key was sent as bearer."""
        kind, _, secret = sent.decode("latin-1").partition(" ")
        secret = secret.strip() if kind.lower() == "bearer" else ""
        known = self.known(_as_remembered(secret))
        return await self._reading.read(secret, partial(self._read, secret)) if known is None else known

    async def _read(self, secret: str) -> Caller:
        """Once for all who send it at the same time."""
        sent = _as_remembered(secret)
        self._known.pop(sent, None)
        until = asyncio.get_running_loop().time() + limits.caller_remembered_s_max
        caller = await identify(self._office, secret)
        self._known[sent] = (until, caller)
        if len(self._known) > _CALLERS_MAX:
            self._known.popitem(last=False)
        return caller


def _as_remembered(secret: str) -> bytes:
    return b"Bearer " + secret.encode("latin-1")


class Payers:
    """Whose money it is. A hold belongs to a key: an account that is named has one of its own for that, made on first use."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._known: OrderedDict[tuple[str, str], Policy] = OrderedDict()

    def name(self, caller: Caller, key: str | None, account: str | None) -> tuple[str, str]:
        """By what name the key or account that was named is remembered. Raises a Problem."""
        if not isinstance(caller, Admin):
            if account is not None or key not in (None, caller.key.id):
                raise not_found("key" if account is None else "account", key or account or "")
            key = caller.key.id
        if key is None and account is None:
            raise Problem("invalid_request", "key: name the key or the account that pays.", errors=[{"field": "key", "problem": "missing"}])
        return ("account", account) if account is not None else ("key", key or "")

    async def named(self, caller: Caller, name: tuple[str, str]) -> Policy:
        """The payer of that name, within what the caller may see. Raises a Problem."""
        policy = self._known.get(name) or await self._read(name)
        scope = caller.scope if isinstance(caller, Admin) else None
        if scope is not None and all(account.id != scope for account in policy.path):
            raise unknown(name[1])
        return policy

    def forget(self, name: tuple[str, str]) -> None:
        """Something about it has changed: it is read again when it is next named."""
        self._known.pop(name, None)

    async def _read(self, name: tuple[str, str]) -> Policy:
        found = await self._office.read(lambda reports: _find(reports, *name))
        if isinstance(found, _Keyless):
            await self._make_house_key(found)
            found = await self._office.read(lambda reports: _find(reports, *name))
        if not isinstance(found, Policy):
            raise unknown(name[1])
        self._known[name] = found
        if len(self._known) > limits.payers_remembered_max:
            self._known.popitem(last=False)
        return found

    async def _make_house_key(self, missing: "_Keyless") -> None:
        """Two that do so at once make one: the command's id is the same."""
        secret = new_secret("gateway")  # nobody is ever told
        key = Key(new_id("key"), missing.account, "", hash_of(secret), label_of(secret), 0, name=HOUSE_KEY)
        key = msgspec.structs.replace(key, metadata={"made_for": "work that is not proxied"})
        outcome = await self._office.context.batcher.one(IssueKey(_house_command(missing.account, missing.number), key))
        if isinstance(outcome, Refused):
            raise Problem("account_closed", f"The account {missing.account} is closed.")


class _Keyless(msgspec.Struct, frozen=True):
    """An account without a house key, and the how-manieth its next one is: read together, so that all who find none make the same one."""

    account: str
    number: int


def _find(reports: Reports, kind: str, name: str) -> Policy | _Keyless | None:
    """A key's policy; an account's house key's, or that it has none. `subject`: either, by id or external id."""
    key = reports.key(name) if kind in ("key", "subject") else None
    if key is not None:
        return reports.policy(key) if key.id == name else None
    account = None if kind == "key" else reports.account(name) or reports.account_by_external_id(name)
    return None if account is None else _house_key(reports, account.id)


def _house_key(reports: Reports, account_id: str) -> Policy | _Keyless:
    """The account's house key: the last one made, unless that is revoked."""
    key, number = None, 1
    while (made := reports.command(_house_command(account_id, number))) is not None:
        key, number = (reports.key(made.ids["key"]) if isinstance(made, Done) else key), number + 1
    return _Keyless(account_id, number) if key is None or key.status == "revoked" else reports.policy(key)


def _house_command(account_id: str, number: int) -> str:
    return f"house key:{account_id}:{number}"


def unknown(name: str) -> Problem:
    """There is none, or it is not the caller's to see: the same words for both."""
    return Problem("unknown_payer", f"There is no key or account {name[:200]!r}.", errors=[{"field": "payer", "problem": "unknown"}])


def check(policy: Policy, model: str) -> None:
    """Raises a refusal where the key may not be used for that."""
    allowed(policy.key, f"own/{model}", model)
