"""The answer on its way back: the same bytes to the client, usage read as they pass, the end held back until the charge is durable."""

import asyncio
from collections.abc import Awaitable

from farebox import limits
from farebox.clock import Clock
from farebox.dialects.base import Fault, StreamMeter
from farebox.dialects.faults import trouble
from farebox.errors import ChargePending, Refusal, UpstreamAccount, UpstreamBadResponse, UpstreamTimeout
from farebox.exchange import Exchange, Headers
from farebox.gateway import forward, replay
from farebox.gateway.attempt import Attempt, Call
from farebox.gateway.background import Background
from farebox.gateway.flights import Flight, Flights
from farebox.gateway.settle import Settler
from farebox.gateway.turns import AnotherKey, Turns
from farebox.gateway.upstream import Answer, IdleTimeout, UpstreamFailed
from farebox.ledger.model import Charge
from farebox.money import format_usd, write_usd

_OK = 200
_ERRORS_FROM = 400
_NO_STATUS_FROM = 600
_REST_S = 1.0
_FREE = "Nothing was charged."
_CHARGED = "The call may have been billed and was charged."


class Relay:
    """Carries answers. One per process."""

    def __init__(self, settler: Settler, background: Background, flights: Flights, turns: Turns, clock: Clock, *, records: bool) -> None:
        self._settler = settler
        self._turns = turns
        self._background = background
        self._flights = flights
        self._clock = clock
        self._records = records

    async def relay(self, call: Call, attempt: Attempt, answer: Answer, exchange: Exchange, flight: Flight) -> None:
        """Relays one answer and settles its attempt. Raises a Refusal where nothing was sent to the client yet."""
        flight.answer = answer
        if flight.cut:
            answer.abort()
        attempt.status = answer.status
        attempt.upstream_request_id = forward.upstream_request_id(answer).decode("latin-1")
        attempt.timings.first_byte_us = self._clock() - call.timings.received_at
        try:
            await self._carry(call, attempt, answer, exchange, flight)
        finally:
            answer.abort()  # whatever happened: a connection that still carries something is not left open, and not used again

    def _carry(self, call: Call, attempt: Attempt, answer: Answer, exchange: Exchange, flight: Flight) -> Awaitable[None]:
        """The way that this answer takes."""
        ask = attempt.plan.ask
        if _ERRORS_FROM <= answer.status < _NO_STATUS_FROM:
            return self._error(call, attempt, answer, exchange, flight)
        if answer.status != _OK or (answer.header(b"content-encoding") or b"identity") != b"identity":
            attempt.failure = "bad_answer"
            raise self._bad(attempt, f"status {answer.status}, content-encoding {_shown(answer.header(b'content-encoding'))}")
        if not (ask.stream or ask.binary):
            return self._whole(call, attempt, answer, exchange)
        if (answer.header(b"content-type") or b"").lower().startswith(attempt.plan.dialect.no_stream):
            attempt.failure, attempt.lost = "bad_answer", True
            raise self._bad(attempt, f"a stream was asked for, and it sent {_shown(answer.header(b'content-type'))}")
        return self._stream(call, attempt, answer, exchange, flight)

    # --- errors ------------------------------------------------------------------------------------------------------------------

    async def _error(self, call: Call, attempt: Attempt, answer: Answer, exchange: Exchange, flight: Flight) -> None:
        """An error status is not billed, but for those of which it is known (providers.md §5.1); its body passes as it is, unless it is about
        the operator's own account.
        """
        may_cost = answer.status in attempt.plan.provider.billed_errors
        attempt.outcome = "answered" if may_cost else "not_billed"
        attempt.failure = f"upstream_{answer.status}"
        try:
            body = forward.readable(answer, await answer.read_all(limits.error_body_bytes_max))
        except UpstreamFailed as failure:
            raise self._unread(attempt, failure.problem, may_cost=may_cost) from failure
        if body is None:
            raise self._unread(attempt, "its error cannot be read", may_cost=may_cost)
        costs = may_cost and _error_costs(attempt, answer.status, body)
        fault = attempt.plan.dialect.fault(answer.status, body)
        if not flight.cut and not self._flights.closing:
            self._another_key(call, attempt, answer, body, fault)
        if fault == "account":
            attempt.flags.append("upstream_account")
            raise UpstreamAccount(provider=attempt.plan.provider.name)
        charge = await self._settler.settle(call, attempt)
        headers = self.headers(call, attempt, answer)
        if charge is not None:
            headers += _money(charge, attempt)
        if costs:
            headers.append((b"x-should-retry", b"false"))
        await exchange.answer(answer.status, headers, body)

    @staticmethod
    def _unread(attempt: Attempt, problem: str, *, may_cost: bool) -> UpstreamBadResponse:
        provider = attempt.plan.provider.name
        if may_cost:
            return UpstreamBadResponse(provider=provider, problem=problem, may_have_charged=True, charged=_CHARGED)
        return UpstreamBadResponse(provider=provider, problem=problem, charged=_FREE)

    def _another_key(self, call: Call, attempt: Attempt, answer: Answer, body: bytes, fault: Fault) -> None:
        """Tells the provider's health. Raises AnotherKey where the caller need not hear of it, because another key may fare better."""
        turn, plan = attempt.turn, attempt.plan
        if turn is None:
            return
        self._turns.erred(turn, answer, body, fault, plan.ask.route, plan.model)
        tried = {one.turn.number for one in call.attempts if one.turn is not None}
        other = self._turns.other(turn, answer, fault, plan.ask.route, plan.model, tried)
        if other is not None and attempt.outcome == "not_billed":
            raise AnotherKey(other)

    # --- a whole answer -----------------------------------------------------------------------------------------------------------

    async def _whole(self, call: Call, attempt: Attempt, answer: Answer, exchange: Exchange) -> None:
        plan = attempt.plan
        body = await answer.read_all(limits.answer_body_bytes_max)
        attempt.timings.last_byte_us = self._clock() - call.timings.received_at
        report = attempt.report = plan.dialect.read_answer(plan.ask, body, answer.named)
        if not (report.finished or report.poll_target):
            attempt.failure, attempt.lost = "bad_answer", True
            raise self._bad(attempt, "its body is not an answer of this API")
        headers = self.headers(call, attempt, answer)
        if report.shown is not None:
            body = report.shown
        if self._records and call.caller.idempotency:
            self._record(call, attempt, answer.status, headers, body)
        if report.poll_target:
            await self._background.hand_over(call, attempt, report)
            headers.append((b"x-farebox-available", write_usd(attempt.available).encode()))
        charge = await self._settler.settle(call, attempt)
        if charge is not None:
            headers += _money(charge, attempt)
        await exchange.answer(answer.status, headers, body)

    # --- a stream -----------------------------------------------------------------------------------------------------------------

    async def _stream(self, call: Call, attempt: Attempt, answer: Answer, exchange: Exchange, flight: Flight) -> None:
        meter = attempt.plan.dialect.stream(attempt.plan.ask, dict(answer.headers))
        kept = _Kept(call, records=self._records)
        headers = self.headers(call, attempt, answer)
        hold = attempt.hold
        if hold is not None:
            headers.append((b"x-farebox-available", write_usd(attempt.available).encode()))
        exchange.watch()
        try:
            await exchange.head(answer.status, headers)
            failure = await self._pump(call, attempt, answer, exchange, flight, meter, kept)
            attempt.timings.last_byte_us = self._since(call)
            attempt.report = meter.report()
            await self._finish(call, attempt, exchange, meter, kept, failure, headers)
        finally:
            if attempt.report is None:  # the task was cancelled: nobody reads on, and what the provider goes on to generate is not seen
                attempt.report, attempt.lost = meter.report(), True
                attempt.failure = attempt.failure or flight.cut or "cancelled"
        await _rest(answer)

    async def _pump(
        self, call: Call, attempt: Attempt, answer: Answer, exchange: Exchange, flight: Flight, meter: StreamMeter, kept: "_Kept"
    ) -> UpstreamFailed | None:
        """Pieces from the provider to the client until the end is held back, the upstream ends, or it fails. Reads on when the client
        has left: it is the only way to know what was billed.
        """
        passage = _Passage(meter, exchange, kept, stops=attempt.plan.ask.background)
        try:
            while not meter.finished:
                if not await answer.pour(passage.take):
                    passage.bring(meter.close())
                    await passage.done()
                    return None
                if attempt.plan.ask.background and not attempt.handed and meter.report().poll_target:
                    await self._background.hand_over(call, attempt, meter.report())
                await passage.done()
                if exchange.gone and attempt.handed:
                    return None  # the answer does not depend on who listens; the background asks for it
                if exchange.gone and not self._flights.drain(flight):
                    self._left(attempt, flight.cut)
                    return None
        except UpstreamFailed as failure:
            attempt.failure = forward.name_of(failure)
            if flight.cut or isinstance(failure, IdleTimeout):
                self._left(attempt, flight.cut or attempt.failure)
            return failure
        return None

    @staticmethod
    def _left(attempt: Attempt, why: str) -> None:
        """We stopped reading, not the provider: it may go on, and bill what nobody reads."""
        attempt.failure = why
        attempt.lost = not attempt.plan.provider.stops_billing_on_cancel

    async def _finish(
        self,
        call: Call,
        attempt: Attempt,
        exchange: Exchange,
        meter: StreamMeter,
        kept: "_Kept",
        failure: UpstreamFailed | None,
        headers: Headers,
    ) -> None:
        """Charges, and only then lets the client see the end: its own terminal event, or an error frame in its words. Never silence."""
        ending = meter.held_back
        if meter.finished:
            kept.add(ending)
            attempt.recorded = kept.sealed(attempt.status, headers)
        elif meter.report().upstream_error:
            attempt.failure = attempt.failure or "upstream_error"
        else:
            ending += self._broken(call, attempt, failure)
        try:
            await self._settler.settle(call, attempt)
        except ChargePending as pending:
            ending = attempt.plan.dialect.error_frame(pending, call.request_id, attempt.plan.ask)
        if attempt.plan.ask.binary and not meter.finished:
            return  # nothing can be said within sound: the connection is broken off, so that nobody takes a part for the whole
        if not exchange.gone:
            await exchange.end(ending)

    def _broken(self, call: Call, attempt: Attempt, failure: UpstreamFailed | None) -> bytes:
        attempt.failure = attempt.failure or "ended_early"
        provider = attempt.plan.provider.name
        if failure is None:
            refusal: Refusal = self._bad(attempt, "its stream ended before its end")
        elif attempt.failure in ("shutdown", "request_too_long"):
            refusal = UpstreamTimeout(provider=provider, problem=attempt.failure.replace("_", " "), may_have_charged=True, charged=_CHARGED)
        else:
            refusal = forward.refusal_of(failure, provider)
        return attempt.plan.dialect.error_frame(refusal, call.request_id, attempt.plan.ask)

    # --- both ---------------------------------------------------------------------------------------------------------------------

    def headers(self, call: Call, attempt: Attempt, answer: Answer) -> Headers:
        """The provider's headers that are the caller's business, and ours."""
        ask = attempt.plan.ask
        answer_type = ask.answer_type if answer.status == _OK else ""
        headers = forward.answer_headers(answer, attempt.plan.dialect, attempt.upstream_request_id.encode("latin-1"), answer_type)
        headers.append((b"x-farebox-request-id", call.request_id.encode()))
        hold = attempt.hold
        if hold is not None:
            headers.append((b"x-farebox-hold", format_usd(hold.amount).encode()))
            demand = ask.demand
            if demand.output_units and hold.units != demand.output_tokens_named:
                headers.append((b"x-farebox-max-output-tokens", str(hold.units).encode()))
        return headers

    @staticmethod
    def _record(call: Call, attempt: Attempt, status: int, headers: Headers, body: bytes) -> None:
        if len(body) <= limits.replay_answer_bytes_max:
            attempt.recorded = replay.seal(call.secret, call.request_id, status, headers, body)

    def _bad(self, attempt: Attempt, problem: str) -> UpstreamBadResponse:
        return UpstreamBadResponse(provider=attempt.plan.provider.name, problem=problem, may_have_charged=True, charged=_CHARGED)

    def _since(self, call: Call) -> int:
        return self._clock() - call.timings.received_at


class _Passage:
    """The way of a stream's pieces to the client, one after the other. Most go it at once, from within the arrival of each."""

    __slots__ = ("_exchange", "_kept", "_meter", "_stops", "_unsent")

    def __init__(self, meter: StreamMeter, exchange: Exchange, kept: "_Kept", *, stops: bool) -> None:
        self._meter = meter
        self._exchange = exchange
        self._kept = kept
        self._stops = stops
        self._unsent = b""

    def take(self, piece: bytes) -> bool:
        """Sends what may be relayed now. False where somebody has to look before the next piece is taken: after each one, if it `stops`."""
        shown = self._meter.feed(piece)
        if self._stops or self._meter.finished or self._exchange.gone:
            self.bring(shown)
            return False
        self._kept.add(shown)
        if not shown or self._exchange.pass_on(shown):
            return True
        self._unsent = shown
        return False

    def bring(self, data: bytes) -> None:
        """To be sent once somebody can wait for it."""
        self._kept.add(data)
        self._unsent = data

    async def done(self) -> None:
        """Waits for what could not be sent at once, if anybody is there to take it."""
        data, self._unsent = self._unsent, b""
        if data and not self._exchange.gone:
            await self._exchange.piece(data)


class _Kept:
    """What a stream said, kept for a repeat with the same Idempotency-Key; nothing when there is none, or when it is too much."""

    __slots__ = ("_call", "_pieces", "_size", "_wanted")

    def __init__(self, call: Call, *, records: bool) -> None:
        self._call = call
        self._wanted = records and bool(call.caller.idempotency)
        self._pieces: list[bytes] = []
        self._size = 0

    def add(self, piece: bytes) -> None:
        if self._wanted:
            self._pieces.append(piece)
            self._size += len(piece)
            if self._size > limits.replay_answer_bytes_max:
                self._wanted = False
                self._pieces.clear()

    def sealed(self, status: int, headers: Headers) -> bytes | None:
        return replay.seal(self._call.secret, self._call.request_id, status, headers, b"".join(self._pieces)) if self._wanted else None


def _error_costs(attempt: Attempt, status: int, body: bytes) -> bool:
    """Whether an error of a status that may cost something does. One with a code of its own is about the prompt alone: then nothing was
    generated, and the input's bound is what it can cost. Otherwise the hold stands for what nobody tells.
    """
    code = attempt.plan.provider.billed_errors[status]
    if not code:
        return True
    if trouble(body).code != code:
        attempt.outcome = "not_billed"
        return False
    attempt.generated = False
    return True


def _money(charge: Charge, attempt: Attempt) -> Headers:
    """What it cost, and what is left: the ledger's numbers at the hold, and what the hold gave back since."""
    hold = attempt.hold
    left = attempt.available if hold is None else attempt.available + hold.amount - charge.paid
    return [
        (b"x-farebox-cost", format_usd(charge.price).encode()),
        (b"x-farebox-available", write_usd(max(left, 0)).encode()),
    ]


def _shown(value: bytes | None) -> str:
    return "nothing" if value is None else ascii(value.decode("latin-1"))[1:-1][:64]


async def _rest(answer: Answer) -> None:
    """What follows the terminal event, so that the connection can be used again; a provider that does not end is left."""
    if answer.ended:
        while await answer.read():
            pass
        return
    try:
        async with asyncio.timeout(_REST_S):
            while await answer.read():
                pass
    except (TimeoutError, UpstreamFailed):
        answer.abort()
