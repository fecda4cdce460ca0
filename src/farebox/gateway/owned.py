"""What providers keep for callers: whose it is, checked before a request that names it goes out, and known before a caller learns of it.

To the provider all callers are one account, so without this an id would be a way into another customer's data. An object that is not the
caller's is answered as one that does not exist. Owns that rule; `store/objects.py` says who may use what.
"""

from collections.abc import Collection

import msgspec

from farebox import limits
from farebox.clock import US_PER_S
from farebox.dialects import fields
from farebox.dialects.base import Ask, Made, Report
from farebox.dialects.openai.parts import FILE
from farebox.dialects.openai.responses.items import KINDS, SEALED
from farebox.dialects.openai.responses.kept import ITEM, is_id
from farebox.errors import NotFound
from farebox.gateway.attempt import Attempt
from farebox.ledger.commands import Result
from farebox.ledger.lasting import StoredObject
from farebox.ledger.plan import Policy
from farebox.providers.catalogue import Provider
from farebox.store.objects import Facts, Object, Objects, encode_facts

RESPONSE = "response"


def lasts(kind: str) -> int:
    """How long it is remembered whose an object is, in microseconds: longer than providers keep it, where they say how long that is."""
    return (limits.response_kept_s if kind in (RESPONSE, ITEM) else limits.object_kept_s) * US_PER_S


def named(ask: Ask, report: Report | None) -> list[Made]:
    """What the provider keeps of a request."""
    if report is None or not ask.stores:
        return []
    first = [Made(ask.stores[0], report.response_id)] if report.response_id else []
    return first + [one for one in report.made if one.kind in ask.stores and one.id]


def left(attempt: Attempt, result: Result | None) -> tuple[StoredObject, ...]:
    """What an attempt leaves with its provider. How much that holds is known once it is charged by an exact report, or by its bytes."""
    plan, exact = attempt.plan, result is not None and result.completeness == "exact"
    model = plan.provider.behind(plan.model)  # what stands behind a deployment may change
    found = []
    for made in named(plan.ask, attempt.report):
        tokens = made.tokens_max
        if made.kind == RESPONSE:
            tokens = result.tokens if result is not None and plan.ask.leaves_total else None
        facts = Facts(model, tokens if exact else None, made.tokens_anywhere_max)
        found.append(StoredObject(made.kind, made.id, lasts(made.kind), encode_facts(facts).decode()))
    return tuple(found)


class Owned:
    """Checks what requests name. Raises NotFound, and LedgerDown when that cannot be looked up."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    async def inform(self, policy: Policy, ask: Ask, provider: Provider, model: str) -> None:
        """Lets a call pass whose objects are its account's, at the provider that it goes to; what is known of them bounds it more tightly, where
        it was counted as this model counts: another one may take a picture, or a text, for many times the tokens.
        """
        if len(ask.uses) > limits.request_objects_max:
            raise fields.too_many_objects()
        model = provider.behind(model)
        others = [use for use in ask.uses if use[0] not in KINDS]
        found = {use: await self._one(policy, use, (provider.name,)) for use in dict.fromkeys(others)}
        brought = [_brings(found[use], model) for use in others]
        brought += await self._items(policy, [use for use in ask.uses if use[0] in KINDS], provider.name, model)
        known = [tokens for tokens in brought if tokens is not None]
        if ask.own_input_max is not None and len(known) == len(brought):
            most = min(ask.demand.input_tokens_max, (ask.own_input_max + sum(known)) * ask.own_runs)
            ask.demand = msgspec.structs.replace(ask.demand, input_tokens_max=most)

    async def keeper(self, policy: Policy, ask: Ask, providers: Collection[str]) -> str:
        """Which of some providers keeps all that a request names; where it may be several, the first of them."""
        if not ask.uses:
            raise NotFound(what="object")
        left = list(providers)
        for use in ask.uses:
            found = await self._all(policy, use, left)
            left = [name for name in left if name in {one.provider for one in found}]
        return left[0]

    async def keep(self, policy: Policy, ask: Ask, report: Report, provider: str, request_id: str) -> None:
        """Says whose the objects are that a request without a charge has made."""
        key = policy.key
        for made in named(ask, report):
            kept = Object(provider, made.kind, made.id, key.account, key.id, 0, Facts())
            await self._objects.keep(kept, request_id, lasts(made.kind))

    async def drop(self, provider: str, identifier: str) -> None:
        """The provider keeps it no longer."""
        await self._objects.drop(provider, identifier)

    async def _items(self, policy: Policy, uses: Collection[tuple[str, str]], provider: str, model: str) -> list[int | None]:
        """The most tokens that each of some items brings. What is in the request may be an item that nobody keeps: of that nothing is known. But it
        may not be somebody else's at any provider: two of these may be names for one account there.
        """
        if not uses:
            return []
        asked = sorted({identifier for _, identifier in uses})
        rows = await self._objects.find_all(ITEM, asked, policy.key.account)
        others = {row.object.id for row in rows if not row.own}
        here = {row.object.id: row for row in rows if row.object.provider == provider}
        brought: list[int | None] = []
        for kind, identifier in uses:
            found = here.get(identifier)
            refused = (found is None or not found.own) if kind == ITEM else identifier in others
            if refused:
                raise NotFound(what=ITEM)
            known = None if found is None else found.object.facts.brings(model)
            brought.append(0 if kind == SEALED else known)
        return brought

    async def _one(self, policy: Policy, use: tuple[str, str], providers: Collection[str]) -> Object:
        return (await self._all(policy, use, providers))[0]

    async def _all(self, policy: Policy, use: tuple[str, str], providers: Collection[str]) -> list[Object]:
        rows = await self._objects.find(*use, policy.key.account) if is_id(use[1]) else []
        found = [one for one in rows if one.provider in providers]
        if not found:
            raise NotFound(what=use[0].replace("_", " "))
        return found


def _brings(one: Object, model: str) -> int | None:
    """The most tokens that an object brings, beside what the bound of the body has of it already (files)."""
    if one.kind == FILE:
        return 0
    return one.facts.brings(model) if one.kind == RESPONSE else None
