"""What providers keep for callers: whose it is, checked before a request that names it goes out, and known before a caller learns of it.

To the provider all callers are one account, so without this an id would be a way into another customer's data. An object that is not the
caller's is answered as one that does not exist. Owns that rule; `store/objects.py` says who may use what.
"""

from collections.abc import Collection

import msgspec

from farebox import limits
from farebox.clock import US_PER_S
from farebox.dialects.base import Ask, Report
from farebox.errors import NotFound
from farebox.gateway.attempt import Attempt
from farebox.ledger.commands import Result
from farebox.ledger.lasting import StoredObject
from farebox.ledger.plan import Policy
from farebox.store.objects import Facts, Object, Objects, encode_facts

RESPONSE = "response"


def lasts(kind: str) -> int:
    """How long it is remembered whose an object is, in microseconds: longer than providers keep it, where they say how long that is."""
    return (limits.response_kept_s if kind == RESPONSE else limits.object_kept_s) * US_PER_S


def named(ask: Ask, report: Report | None) -> list[tuple[str, str]]:
    """(kind, id) of what the provider keeps of a request."""
    if report is None or not ask.stores:
        return []
    first = [(ask.stores[0], report.response_id)] if report.response_id else []
    return first + [one for one in report.made if one[0] in ask.stores and one[1]]


def left(attempt: Attempt, result: Result | None) -> tuple[StoredObject, ...]:
    """What an attempt leaves with its provider. How much a response holds is known once it is charged by an exact report."""
    found = []
    for kind, identifier in named(attempt.plan.ask, attempt.report):
        facts = Facts(attempt.plan.model)
        if kind == RESPONSE and result is not None and result.completeness == "exact":
            facts = Facts(attempt.plan.model, result.tokens)
        found.append(StoredObject(kind, identifier, lasts(kind), encode_facts(facts).decode()))
    return tuple(found)


class Owned:
    """Checks what requests name. Raises NotFound, and LedgerDown when that cannot be looked up."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    async def inform(self, policy: Policy, ask: Ask, provider: str, model: str) -> None:
        """Lets a call pass whose objects are its account's, at the provider that it goes to; what is known of them bounds it more tightly, where
        it was counted as this model counts: another one may take a picture, or a text, for many times the tokens.
        """
        found = [await self._one(policy, use, (provider,)) for use in ask.uses]
        totals = [one.facts.total_tokens for one in found if one.kind == RESPONSE and one.facts.model == model]
        known = [total for total in totals if total is not None]
        if ask.own_input_max is not None and len(known) == len(found):
            most = min(ask.demand.input_tokens_max, ask.own_input_max + sum(known))
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
        for kind, identifier in named(ask, report):
            made = Object(provider, kind, identifier, key.account, key.id, 0, Facts())
            await self._objects.keep(made, request_id, lasts(kind))

    async def drop(self, provider: str, identifier: str) -> None:
        """The provider keeps it no longer."""
        await self._objects.drop(provider, identifier)

    async def _one(self, policy: Policy, use: tuple[str, str], providers: Collection[str]) -> Object:
        return (await self._all(policy, use, providers))[0]

    async def _all(self, policy: Policy, use: tuple[str, str], providers: Collection[str]) -> list[Object]:
        found = [one for one in await self._objects.find(*use, policy.key.account) if one.provider in providers]
        if not found:
            raise NotFound(what=use[0].replace("_", " "))
        return found
