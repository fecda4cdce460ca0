"""Events: work that is done already, told of in CloudEvents. Each is charged once, by its source and id, however often it is sent.

Owns what becomes of a batch. Does not own the rules: the ledger decides each event, and keeps what it came to.
"""

import asyncio
from hashlib import blake2b
from typing import Any

import msgspec
from pydantic import ValidationError

from farebox import limits
from farebox.clock import US_PER_MS
from farebox.control import refusing
from farebox.control.caller import Admin
from farebox.control.office import Office
from farebox.control.problems import Problem
from farebox.control.unproxied import worth
from farebox.control.unproxied.asked import Event
from farebox.control.unproxied.holds import OWNER, Answer, Holds, tags_text
from farebox.control.unproxied.payers import Payers, check
from farebox.control.unproxied.refusals import problem_of
from farebox.errors import Busy, FareboxError, Refusal
from farebox.ledger.commands import Conflict, Outcome, Recorded, RecordEvent, Refused
from farebox.ledger.plan import Policy
from farebox.money import format_usd

ROUTE = "/api/v1/events"
_BREATH_EVENTS = 50
"""So many are read before others on this event loop have their turn."""
_NAMES = ("source", "id")
_encode = msgspec.json.Encoder(order="sorted").encode


class Ended(msgspec.Struct, frozen=True):
    """What became of one event: charged, or why not. `status` as it is told."""

    status: str
    recorded: Recorded | None = None
    problem: Problem | None = None


class Events:
    """One per event loop."""

    def __init__(self, office: Office, payers: Payers, holds: Holds) -> None:
        self._office = office
        self._batcher = office.context.batcher
        self._settings = office.context.settings.events
        self._payers = payers
        self._holds = holds

    async def record(self, caller: Admin, sent: Any) -> Answer:
        """Charges one event, or each of a list. Raises a Problem for a single one that is not charged."""
        self._office.context.admit()
        alone = not isinstance(sent, list)
        events = [sent] if alone else sent
        if not 0 < len(events) <= limits.events_per_request_max:
            raise Problem("invalid_request", f"A request has from 1 to {limits.events_per_request_max} events.")
        ended = await self._all(caller, events)
        if alone and ended[0].problem is not None:
            raise ended[0].problem
        return Answer({"data": [_told(event, one) for event, one in zip(events, ended, strict=True)]})

    async def _all(self, caller: Admin, sent: list[Any]) -> list[Ended]:
        """What became of each, in their order. They wait for the ledger together; those whose payer has changed are planned again."""
        ended: dict[int, Ended] = {}
        waiting: dict[int, Event] = {}
        for at, one in enumerate(sent):
            if at % _BREATH_EVENTS == _BREATH_EVENTS - 1:
                await asyncio.sleep(0)
            try:
                waiting[at] = Event.model_validate(one)
            except ValidationError as problem:
                ended[at] = Ended("invalid", problem=_invalid(problem))
        for _ in range(limits.requotes_max):
            posted = {at: await self._post(caller, event) for at, event in waiting.items()}
            for at, answer in posted.items():
                one = answer if isinstance(answer, Ended) else self._heard(caller, waiting[at], await answer)
                if one is not None:
                    ended[at] = one
                    del waiting[at]
            if not waiting:
                return [ended[at] for at in range(len(sent))]
        raise Busy(limit="prices and limits change faster than events can be charged")

    async def _post(self, caller: Admin, event: Event) -> "asyncio.Future[Any] | Ended":
        """Hands an event to the ledger; or says at once why it is none."""
        try:
            command = await self._planned(caller, event)
        except Problem as problem:
            return Ended("invalid", problem=problem)
        except Refusal as refusal:
            return Ended("invalid", problem=Problem(refusal.reason, refusal.message))
        return self._batcher.post(command)

    async def _planned(self, caller: Admin, event: Event) -> RecordEvent:
        """What the ledger is asked; a refusal is only given on what it has now, whatever is remembered of the payer."""
        name = ("subject", event.subject)
        try:
            return await self._command(event, await self._payers.named(caller, name))
        except (Problem, Refusal):
            self._payers.forget(name)
            return await self._command(event, await self._payers.named(caller, name))

    async def _command(self, event: Event, policy: Policy) -> RecordEvent:
        now = self._office.context.clock()
        at = now if event.time is None else event.time
        work = event.data
        rate = worth.ANY_AMOUNT
        if work.meter is not None:
            rate = worth.rate_of(policy, work.meter, await self._holds.books(policy.book_version), at)
        check(policy, rate.meter)
        name = f"event:\n{event.source}\n{event.id}"
        stem = f"{min(at, now) // US_PER_MS:012x}{blake2b(name.encode(), digest_size=10).hexdigest()}"
        return RecordEvent(
            name,
            _fingerprint(event),
            f"hold_{stem}1",
            f"req_{stem}",
            policy.gate(f"{worth.PROVIDER}/{rate.meter}", work.run or ""),
            worth.amount(work.amount_usd or 0) if work.quantity is None else rate.result(work.quantity),
            at,
            self._settings.when_short_of(event.source),
            rate.markup.basis_points,
            rate.markup.fixed_nano,
            worth.PROVIDER,
            rate.meter,
            ROUTE,
            OWNER,
            work.run or "",
            work.user or "",
            tags_text(work.tags),
        )

    def _heard(self, caller: Admin, event: Event, answer: tuple[Outcome, ...] | FareboxError) -> Ended | None:
        """What the ledger says; None when it was planned with what is no longer so. Raises what keeps it from deciding."""
        if isinstance(answer, FareboxError):
            raise answer
        outcome = answer[0]
        if isinstance(outcome, Recorded):
            return Ended("repeated" if outcome.repeated else "charged", outcome)
        if isinstance(outcome, Conflict):
            words = "An event of this source and id was told before with other content; nothing was done."
            return Ended("conflict", problem=Problem("event_conflict", words))
        if isinstance(outcome, Refused):
            problem = problem_of(outcome, caller, self._office.context.clock())
            if problem.status == 429:  # noqa: PLR2004 - HTTP's own number
                problem = Problem(problem.code, problem.detail, status=402, **problem.facts)  # it stays so: waiting does not help
            return Ended("refused", problem=problem)
        self._payers.forget(("subject", event.subject))
        return None


def _fingerprint(event: Event) -> str:
    """What makes two events of one source and id the same: what they say, not how it is written. Extensions do not count."""
    content = [event.type, event.subject, event.time, event.data.model_dump()]
    return blake2b(_encode(content), digest_size=16).hexdigest()


def _invalid(problem: ValidationError) -> Problem:
    errors = refusing.faults(problem.errors())
    return Problem("invalid_event", "; ".join(f"{one['field']}: {one['problem']}" for one in errors[:5]), errors=errors)


def _told(sent: Any, ended: Ended) -> dict[str, Any]:
    names = {name: str(sent[name])[: limits.event_source_bytes_max] if isinstance(sent, dict) and name in sent else None for name in _NAMES}
    told: dict[str, Any] = {**names, "status": ended.status, "charge": None, "reason": None}
    if ended.recorded is not None:
        one = ended.recorded
        amounts = {"price_usd": one.price, "paid_usd": one.paid, "written_off_usd": one.price - one.paid}
        told["charge"] = {"id": one.charge_id, **{name: format_usd(nano) for name, nano in amounts.items()}, "late": one.late}
    if ended.problem is not None:
        told["reason"] = {"code": ended.problem.code, "detail": ended.problem.detail, **ended.problem.facts}
    return told
