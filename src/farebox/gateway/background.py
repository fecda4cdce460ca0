"""Calls whose provider answers later: handed over when it says so, asked after by whichever process has its turn, settled once.

The hold stays open meanwhile, and belongs to no process. What it takes to work out its charge lies beside it, so that any process can. Whoever
learns first that the answer is there (the poller, a client that looks, one that cancels) settles; the ledger knows the hold by its id, and
takes the first word. Owns when to ask. What an answer comes to is `settle`'s business.
"""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Awaitable, Mapping
from typing import Any, TypeVar

import msgspec
import structlog

from farebox import limits
from farebox.clock import US_PER_MS, US_PER_S, Clock, seconds
from farebox.dialects.base import OUTPUT_UNSEEN, Ask, Report, StreamMeter
from farebox.errors import Busy, ChargePending, FareboxError, LedgerUnavailable
from farebox.gateway.attempt import Attempt, Beside, Call, Caller, Plan, Timings
from farebox.gateway.forward import Forwarder, readable
from farebox.gateway.outage import Outage
from farebox.gateway.owned import left
from farebox.gateway.quote import Quoter
from farebox.gateway.settle import Settler
from farebox.gateway.told import alarm
from farebox.gateway.upstream import Answer, UpstreamFailed
from farebox.ledger.bounds import Affine, Bound
from farebox.ledger.commands import Authorized, Unchanged
from farebox.ledger.lasting import HandOver
from farebox.ledger.model import Hold
from farebox.pricing.markup import Markup
from farebox.providers.catalogue import Catalogue, Provider
from farebox.providers.health import Turn
from farebox.store.batcher import Batcher
from farebox.store.reading import Books
from farebox.store.waiting import Queue, Waiting

_log = structlog.get_logger()
_BOOKS_KEPT = 4
_EVERY_S = 1.0
_GONE = 404
_ERRORS_FROM = 400
_ROUTE = "background"
_OK = 200
_encode = msgspec.json.Encoder().encode
T = TypeVar("T")


class Later(msgspec.Struct, omit_defaults=True):
    """What has to be known of a call to settle it later, beside its hold. Kept as JSON: names may be added, none may change its meaning."""

    ask: Ask
    target: str
    """Where the provider is asked: path and query behind its base URL."""
    input_tokens: int
    quoted_at: int
    beside: tuple[str, ...] = ()
    """The other models that the call may use."""
    run_limit: int | None = None
    status: int = 0
    upstream_request_id: str = ""
    timings: Timings = msgspec.field(default_factory=Timings)


_decode = msgspec.json.Decoder(Later).decode


class Background:
    """One per process; on one store they share the work."""

    def __init__(
        self,
        queue: Queue,
        batcher: Batcher,
        outage: Outage,
        settler: Settler,
        forwarder: Forwarder,
        quoter: Quoter,
        catalogue: Catalogue,
        clock: Clock,
    ) -> None:
        self._queue = queue
        self._batcher = batcher
        self._outage = outage
        self._settler = settler
        self._forwarder = forwarder
        self._quoter = quoter
        self._catalogue = catalogue
        self._clock = clock
        self._books: OrderedDict[int, Books] = OrderedDict()
        self._unheard: list[HandOver] = []
        """Calls that the ledger could not be told of. Their holds are this process's still."""
        self._asking: asyncio.Task[None] | None = None
        self._closing = False
        self._stirred = asyncio.Event()
        """There is something new to look at."""

    # --- handing over --------------------------------------------------------------------------------------------------------------

    async def hand_over(self, call: Call, attempt: Attempt, report: Report) -> None:
        """Leaves an attempt to the background; durable when this returns. Raises ChargePending where the ledger cannot be told: then it is told
        as soon as it can be, by this process if it lives so long.
        """
        attempt.handed, attempt.report = True, report
        command = HandOver(
            attempt.hold_id,
            report.response_id,
            _encode(_later(call, attempt, report)).decode(),
            limits.background_s_max * US_PER_S,
            limits.background_poll_pause_ms_min * US_PER_MS,
            left(attempt, None),
            attempt.recorded,
        )
        pending = self._batcher.post(command)
        try:
            answer = await pending
        except asyncio.CancelledError:  # it comes once the answer is there (see Batcher)
            with contextlib.suppress(ChargePending):
                self._heard(command, pending.result())
            raise
        self._heard(command, answer)

    def _heard(self, command: HandOver, answer: Any) -> None:
        if isinstance(answer, FareboxError):
            self._unheard.append(command)
            if isinstance(answer, LedgerUnavailable):
                self._outage.noticed()
            raise ChargePending(may_have_charged=True)
        if not isinstance(answer[0], Authorized | Unchanged):
            alarm("not_handed_over", hold=command.hold_id, outcome=repr(answer[0]))
            raise ChargePending(may_have_charged=True)
        self._stirred.set()

    async def _tell(self) -> None:
        """Tells the ledger what it could not be told before."""
        while self._unheard:
            answer = await self._batcher.post(self._unheard[0])
            if isinstance(answer, LedgerUnavailable | Busy):
                return
            told = self._unheard.pop(0)
            if isinstance(answer, FareboxError):
                alarm("not_handed_over", hold=told.hold_id, outcome=repr(answer))

    # --- asking --------------------------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """From now on, asks whatever is due."""
        self._asking = asyncio.ensure_future(self._run())

    def stop(self) -> None:
        """Nothing new is asked."""
        self._closing = True
        self._stirred.set()

    async def close(self) -> None:
        """Lets providers that are being asked answer, for a while; what is asked then is another process's in a moment."""
        self.stop()
        if self._asking is not None:
            await asyncio.wait([self._asking], timeout=limits.settle_s_max)
            self._asking.cancel()
            await asyncio.wait([self._asking])

    async def _run(self) -> None:
        while not self._closing:
            self._stirred.clear()
            pause = await self._whatever_comes(self._turn(), _EVERY_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stirred.wait()

    @staticmethod
    async def _whatever_comes(work: Awaitable[T], otherwise: T, **about: str) -> T:
        """What a piece of work returns; another value where it fails, whatever at. It will be tried again, and hinders nothing else."""
        try:
            return await work
        except Exception as problem:  # noqa: BLE001 - the edge of a background loop: without it what waits here would wait for its deadline
            _log.warning("background_failed", problem=str(problem) or type(problem).__name__, **about)
            return otherwise

    async def _turn(self) -> float:
        """Tells and asks; not while the ledger is away. Returns after how many seconds to look again."""
        if self._outage.lasts:
            return _EVERY_S
        await self._tell()
        return await self.round()

    async def round(self) -> float:
        """Asks what is due now, so many at once. Returns after how many seconds to look again. Raises LedgerUnavailable."""
        due_in = await self._queue.due_in()
        if due_in is None:
            return _EVERY_S
        if due_in > 0:
            return min(seconds(due_in), _EVERY_S)
        taken = await self._queue.claim(limits.background_polls_at_once_max, limits.background_lease_s * US_PER_S)
        await asyncio.gather(*(self._ask_quietly(one) for one in taken))
        return 0 if taken else _EVERY_S

    async def _ask_quietly(self, one: Waiting) -> None:
        """One that cannot be asked, or not be read, does not hinder the others. One that cannot even be given back is free when it was taken for
        long enough.
        """
        if not await self._whatever_comes(self._ask(one), otherwise=False, hold=one.hold_id):
            await self._whatever_comes(self._queue.pace(one, pause_us(one.tries)), None, hold=one.hold_id)

    async def _ask(self, one: Waiting) -> bool:
        """Asks a provider how far it is; whether that ended it."""
        provider = self._catalogue.providers.get(one.provider)
        if provider is None:
            alarm("background_provider_gone", provider=one.provider, hold=one.hold_id)
            return False
        later = _decode(one.facts)
        try:
            async with asyncio.timeout(limits.background_poll_s_max):
                answer, body, everyone = await self._fetch(provider, later.target)
        except (UpstreamFailed, TimeoutError) as problem:
            _log.info("background_poll_unanswered", hold=one.hold_id, problem=repr(problem))
            return False
        if answer.status == _GONE and everyone:
            return await self._settle(one, later, provider, None, "response_gone")
        if answer.status != _OK or body is None:
            return False
        return await self._read(one, later, provider, body, dict(answer.headers))

    async def _fetch(self, provider: Provider, target: str) -> tuple[Answer, bytes | None, bool]:
        """The answer, by whichever of the provider's keys knows the response; and whether each of them was asked."""
        turns, tried = self._forwarder.turns, set[int]()
        turn = turns.take(provider, _ROUTE)
        while True:
            answer, body = await self._fetch_with(turn, target)
            tried.add(turn.number)
            other = turns.another(turn, _ROUTE, "", tried) if answer.status == _GONE else None
            if other is None:
                return answer, body, len(tried) >= len(provider.api_keys)
            turn = other

    async def _fetch_with(self, turn: Turn, target: str) -> tuple[Answer, bytes | None]:
        turns = self._forwarder.turns
        answer = await self._forwarder.ask(turn, target, first_byte_s=limits.background_poll_s_max)
        try:
            body = readable(answer, await answer.read_all(limits.answer_body_bytes_max))
            if answer.status >= _ERRORS_FROM and body is not None:
                turns.erred(turn, answer, body, self._quoter.dialect_at(turn.provider).fault(answer.status, body), _ROUTE, "")
            return answer, body
        finally:
            answer.abort()
            turns.left(turn)

    async def _read(self, one: Waiting, later: Later, provider: Provider, body: bytes, headers: Mapping[bytes, bytes]) -> bool:
        report = self._quoter.dialect_at(provider).read_answer(later.ask, body, headers)
        if report.poll_target or not report.finished or report.response_id != one.response_id:
            return False
        return await self._settle(one, later, provider, report)

    # --- what clients do meanwhile -------------------------------------------------------------------------------------------------

    async def learned(self, provider: Provider, response_id: str, body: bytes, headers: Mapping[bytes, bytes], *, changed: bool) -> None:
        """A client will be shown this answer to a question of its own: if it is the end, the call is charged before. If the question `changed`
        something and it is not the end yet, that is near: the provider is asked at once.
        """
        one = await self._queue.of(provider.name, response_id)
        if one is not None and not await self._read(one, _decode(one.facts), provider, body, headers) and changed:
            await self._hasten(one)

    async def look(self, provider: Provider, response_id: str) -> None:
        """Asks now: afterwards the provider may not know the answer any more."""
        one = await self._queue.of(provider.name, response_id)
        if one is not None:
            await self._ask(one)

    async def follow(self, provider: Provider, response_id: str, headers: Mapping[bytes, bytes]) -> "Followed | None":
        """For a client that is shown the events of a response once more. None: it is charged already."""
        one = await self._queue.of(provider.name, response_id)
        if one is None:
            return None
        later = _decode(one.facts)
        return Followed(self, one, later, provider, self._quoter.dialect_at(provider).stream(later.ask, headers))

    async def ended(self, followed: "Followed") -> None:
        """The last event of such a response: it is charged before the client sees it."""
        report = followed.meter.report()
        if report.finished and report.response_id == followed.one.response_id:
            await self._settle(followed.one, followed.later, followed.provider, report)
        else:
            await self._hasten(followed.one)

    async def _hasten(self, one: Waiting) -> None:
        await self._queue.hasten(one.provider, one.response_id)
        self._stirred.set()

    # --- settling ------------------------------------------------------------------------------------------------------------------

    async def _settle(self, one: Waiting, later: Later, provider: Provider, report: Report | None, failure: str = "") -> bool:
        """Charges the hold by its id. What is known of it is read anew: any process may have begun it."""
        hold = await self._queue.hold(one)
        if hold.state != "open":
            return True
        plan = await self._plan(hold, later, provider)
        if plan is None:
            alarm("background_not_priced", hold=hold.id, book_version=hold.book_version)
            return False
        call = Call("", Caller(user=hold.user, run=hold.run, run_limit=later.run_limit), later.timings.received_at)
        call.request_id = hold.request_id
        call.timings = later.timings
        call.timings.last_byte_us = self._clock() - later.timings.received_at
        attempt = Attempt(hold.id, hold.attempt, plan, call.timings, "forwarded", hold, handed=True)
        attempt.report, attempt.status, attempt.upstream_request_id = report, later.status, later.upstream_request_id
        attempt.failure = failure
        attempt.lost = report is not None and OUTPUT_UNSEEN in report.flags
        await self._settler.settle(call, attempt, over=True)
        return True

    async def _plan(self, hold: Hold, later: Later, provider: Provider) -> Plan | None:
        """The plan that the hold was made by, as far as its charge depends on it."""
        policy, books = await self._queue.policy(hold), await self._book(hold.book_version)
        listed = books.listed.find(provider.prices, provider.behind(hold.model), later.quoted_at)
        if listed is None:
            return None
        own = self._quoter.own_price(policy, provider, provider.behind(hold.model), books, later.quoted_at)
        beside = []
        for model in later.beside:
            other = books.listed.find(provider.prices, model, later.quoted_at)
            if other is not None:
                beside.append(Beside(other, self._quoter.own_price(policy, provider, model, books, later.quoted_at)))
        return Plan(
            policy,
            policy.gate(f"{provider.name}/{hold.model}", hold.run, later.run_limit),
            later.ask,
            self._quoter.dialect_at(provider),
            provider,
            hold.model,
            Bound(Affine(hold.amount), Affine(hold.cost_bound), Affine(hold.tokens_bound), hold.units, hold.units),
            listed,
            own,
            Markup(hold.markup_basis_points, hold.markup_fixed_nano) if own is None else Markup(),
            later.input_tokens,
            books.listed,
            later.quoted_at,
            tuple(beside),
            Markup(hold.markup_basis_points if own is None else policy.markup[0]),
        )

    async def _book(self, version: int) -> Books:
        found = self._books.get(version)
        if found is None:
            found = self._books[version] = await self._queue.books(version)
            if len(self._books) > _BOOKS_KEPT:
                self._books.popitem(last=False)
        return found


class Followed(msgspec.Struct, frozen=True):
    """A response whose events a client reads, and that is not charged yet."""

    by: Background
    one: Waiting
    later: Later
    provider: Provider
    meter: StreamMeter


def pause_us(tries: int) -> int:
    """How long until the next question: twice as long after every second one, up to a limit."""
    doubled = limits.background_poll_pause_ms_min << min(tries // 2, 32)
    return min(doubled, limits.background_poll_pause_ms_max) * US_PER_MS


def _later(call: Call, attempt: Attempt, report: Report) -> Later:
    plan = attempt.plan
    kept = msgspec.structs.replace(plan.ask, stream=False, names=frozenset(), unknown_fields=(), uses=())
    return Later(
        kept,
        report.poll_target,
        plan.input_tokens,
        plan.quoted_at,
        tuple(beside.listed.model for beside in plan.beside),
        call.caller.run_limit,
        attempt.status,
        attempt.upstream_request_id,
        call.timings,
    )
