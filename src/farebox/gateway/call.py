"""The way of a request, readable in one place: identify, read, quote, hold, forward, relay and meter, rate, capture. One exit."""

import asyncio
from collections.abc import Awaitable
from functools import partial

import msgspec

from farebox import limits
from farebox.clock import Clock
from farebox.dialects.base import Ask, Route
from farebox.dialects.credentials import find_key
from farebox.dialects.openai import azure
from farebox.errors import (
    AlreadyCharged,
    Draining,
    FareboxError,
    IdempotencyMismatch,
    InProgress,
    InvalidRequest,
    LedgerDown,
    Refusal,
    UnsupportedEncoding,
)
from farebox.exchange import Exchange
from farebox.gateway import forward, replay, told
from farebox.gateway.attempt import Attempt, Call, Plan, hold_id
from farebox.gateway.authorize import Authorizer
from farebox.gateway.caller import fingerprint, read_caller
from farebox.gateway.counting import Counter
from farebox.gateway.flights import Flight, Flights
from farebox.gateway.forward import Forwarder
from farebox.gateway.identify import Keyring, refusal_of
from farebox.gateway.owned import Owned
from farebox.gateway.quote import Quoter
from farebox.gateway.relay import Relay
from farebox.gateway.settle import Settler
from farebox.gateway.sharing import Shared
from farebox.gateway.turns import AnotherKey, NotAsked
from farebox.gateway.upstream import Answer, FirstByteTimeout, UpstreamFailed
from farebox.ledger.commands import Authorized, Refused, Repeated
from farebox.ledger.plan import Policy
from farebox.money import format_usd
from farebox.providers.catalogue import Provider
from farebox.providers.health import Turn
from farebox.store.batcher import Batcher
from farebox.store.reading import Books, Lookup

_REPEAT_POLL_S = 0.1


class Shelf:
    """The price book that counts, as far as this process knows; read again when the ledger says that it has changed."""

    def __init__(self, lookup: Lookup, books: Books) -> None:
        self._lookup = lookup
        self._books = books
        self._reading: Shared[Books] = Shared()

    def books(self) -> Books:
        return self._books

    async def refresh(self) -> Books:
        """The book that counts now. Raises LedgerDown when it cannot be looked up."""
        return await self._reading.read_anew("", self._read)

    async def _read(self) -> Books:
        self._books = await self._lookup.books_since(self._books)
        return self._books


class Calls:
    """Serves metered calls. Everything it needs is handed to it by the composition root."""

    def __init__(
        self,
        *,
        keyring: Keyring,
        shelf: Shelf,
        quoter: Quoter,
        authorizer: Authorizer,
        forwarder: Forwarder,
        counter: Counter,
        relay: Relay,
        settler: Settler,
        owned: Owned,
        flights: Flights,
        batcher: Batcher,
        clock: Clock,
        body_bytes_max: int,
    ) -> None:
        self._keyring = keyring
        self._shelf = shelf
        self._quoter = quoter
        self._authorizer = authorizer
        self._forwarder = forwarder
        self._counter = counter
        self._relay = relay
        self._settler = settler
        self._owned = owned
        self._flights = flights
        self._batcher = batcher
        self._clock = clock
        self._body_bytes_max = body_bytes_max

    async def serve(self, exchange: Exchange, route: Route, call_holder: list[Call]) -> None:
        """One call, start to end. Raises a Refusal where nothing was sent to the client yet; `call_holder` then knows the request's id."""
        secret = find_key(exchange.headers, exchange.query, route)
        now = self._clock()
        policy = self._keyring.known(secret)
        if policy is None or refusal_of(policy, now) is not None:
            policy = await self._identify(secret)
            now = self._clock()
        call = Call(secret, read_caller(exchange), now)
        call_holder.append(call)
        flight = self._flights.begin(exchange, policy.key.id)
        try:
            body = await self.read_in_time(exchange, flight)
            body = azure.whole(route, body) if route.provider else body
            ask = self._quoter.read(route, body, exchange.named)
            if ask.unknown_fields:
                told.unknown(ask)
            if ask.uses:
                await self._owned.inform(policy, ask, *await self._place_of(ask))
            if call.caller.dry_run:
                return await self._dry_run(exchange, call, await self._replan(call, ask))
            plan = self._planned(policy, ask, call) or await self._replan(call, ask)
            attempt = self._attempt(call, plan, body)
            try:
                if call.caller.idempotency:  # what was answered before is answered again, however the provider fares
                    repeated = await self._hold_once(exchange, call, attempt)
                else:
                    self._take_turn(attempt)
                    repeated = await self._hold(exchange, call, attempt, "")
                call.timings.held_us = self._clock() - call.timings.received_at
                if repeated is not None:
                    return await self._again(exchange, call, repeated)
                await self._forward_and_relay(exchange, route, call, attempt, flight)
            finally:
                for one in call.attempts:
                    if one.stage not in ("planned", "done"):
                        self._settler.settle_detached(call, one)
                    if one.turn is not None and one.turn.tries:
                        self._forwarder.turns.left(one.turn)
        finally:
            self._flights.end(flight)

    async def read_in_time(self, exchange: Exchange, flight: Flight) -> bytes:
        """The request body, refused where its length could not be bounded; the look-around of flights.py cancels the wait for one that does
        not come.
        """
        _check_encoding(exchange)
        try:
            return await exchange.body(self._body_bytes_max)
        except asyncio.CancelledError:
            if flight.cut != "request_too_slow" or flight.task is None:
                raise
            flight.task.uncancel()
            raise InvalidRequest(problem=f"The request body did not arrive within {limits.request_body_s_max} s.") from None

    async def _identify(self, secret: str) -> Policy:
        """The caller's policy. What is remembered may be out of date: a refusal is only given on what the ledger has now."""
        policy = await self._keyring.identify(secret)
        if refusal_of(policy, self._clock()) is not None:
            policy = await self._keyring.fresh(secret)
            refusal = refusal_of(policy, self._clock())
            if refusal is not None:
                raise refusal
        return policy

    async def _place_of(self, ask: Ask) -> tuple[Provider, str]:
        """The provider and model where a call would go, by what is remembered of prices; by what the ledger has now, where that does not know its model."""
        try:
            return self._quoter.resolve(ask.dialect, ask.model, self._shelf.books())
        except Refusal:
            return self._quoter.resolve(ask.dialect, ask.model, await self._shelf.refresh())

    def _planned(self, policy: Policy, ask: Ask, call: Call) -> Plan | None:
        """The plan by what is remembered, which may be out of date: None where that would be a refusal."""
        try:
            return self._quote(policy, ask, call, self._shelf.books())
        except Refusal:
            return None

    async def _replan(self, call: Call, ask: Ask) -> Plan:
        """The plan by what the ledger has now, whatever is remembered."""
        policy = await self._keyring.fresh(call.secret)
        refusal = refusal_of(policy, self._clock())
        if refusal is not None:
            raise refusal
        return self._quote(policy, ask, call, await self._shelf.refresh())

    def _quote(self, policy: Policy, ask: Ask, call: Call, books: Books) -> Plan:
        return self._quoter.plan(policy, ask, call.caller, books, self._clock())

    async def _tighten(self, exchange: Exchange, call: Call, attempt: Attempt, refused: Refused) -> Plan | None:
        """The plan by a count of the input, where the bound by its bytes does not fit and a tighter one may."""
        plan = attempt.plan
        if not self._counter.worth(plan.ask, refused):
            return None
        least = self._quote(plan.policy, self._counter.least(plan), call, self._shelf.books()).bound
        if least.measure(refused.measure).at(least.units_min) > refused.available:
            return None
        counted = await self._counter.count(exchange, attempt)
        return None if counted is None else self._quote(plan.policy, counted, call, self._shelf.books())

    def _attempt(self, call: Call, plan: Plan, body: bytes) -> Attempt:
        number = len(call.attempts) + 1
        attempt = Attempt(hold_id(call.request_id, number), number, plan, call.timings, body=body)
        call.attempts.append(attempt)
        return attempt

    def _take_turn(self, attempt: Attempt) -> None:
        """Decides what an attempt is made with. Raises a Refusal where the provider is not asked now: nothing is held for that."""
        plan = attempt.plan
        try:
            attempt.turn = self._forwarder.turns.take(plan.provider, plan.ask.route, plan.model)
        except NotAsked as not_asked:
            raise forward.refusal_of(not_asked, plan.provider.name) from not_asked

    def _hold(self, exchange: Exchange, call: Call, attempt: Attempt, mark: str) -> Awaitable[Repeated | None]:
        """Sets the money aside. `mark` is the request's fingerprint, where it has an Idempotency-Key."""
        return self._authorizer.authorize(call, attempt, self._replan, partial(self._tighten, exchange), mark)

    async def _hold_once(self, exchange: Exchange, call: Call, attempt: Attempt) -> Repeated | None:
        """Sets the money aside; a repeat of a request that is still running waits for it, up to a limit."""
        mark = fingerprint(exchange, attempt.body, call.caller)
        give_up = asyncio.get_running_loop().time() + limits.idempotency_wait_s
        while True:
            repeated = await self._hold(exchange, call, attempt, mark)
            if repeated is None or repeated.state != "running" or asyncio.get_running_loop().time() > give_up:
                return repeated
            await asyncio.sleep(_REPEAT_POLL_S)

    async def _forward_and_relay(self, exchange: Exchange, route: Route, call: Call, attempt: Attempt, flight: Flight) -> None:
        """Forwards, and tries once more where the provider cannot have billed: the old attempt ends and the new is held in one commit."""
        while True:
            if flight.is_cut():
                raise Draining(retry_after_s=1)
            plan, hold = attempt.plan, attempt.hold
            cap = hold.units if hold is not None and plan.ask.demand.output_units else None
            body = plan.dialect.rewrite(
                plan.ask,
                attempt.body,
                model=None if plan.model == plan.ask.model else plan.model,
                output_cap=None if cap == plan.ask.demand.output_tokens_named else cap,
            )
            target = plan.dialect.target(plan.ask, route, plan.model, exchange.query)
            if attempt.turn is None:
                self._take_turn(attempt)
            attempt.stage = "forwarded"
            call.timings.sent_us = self._clock() - call.timings.received_at
            try:
                answer = await self._send(exchange, route, attempt, target, body, flight)
                return await self._relay.relay(call, attempt, answer, exchange, flight)
            except AnotherKey as failure:
                attempt = await self._try_again(call, attempt, exchange, failure.turn)
            except UpstreamFailed as failure:
                if exchange.began:
                    raise
                forward.note(failure, attempt)
                attempt.failure = flight.cut or attempt.failure
                if failure.may_have_billed or len(call.attempts) >= limits.attempts_max or flight.cut or self._flights.closing:
                    await self._settler.settle(call, attempt)
                    raise forward.refusal_of(failure, plan.provider.name) from failure
                attempt = await self._try_again(call, attempt, exchange, None)
            except Refusal:
                if not exchange.began:
                    await self._settler.settle(call, attempt)
                raise

    async def _send(self, exchange: Exchange, route: Route, attempt: Attempt, target: str, body: bytes, flight: Flight) -> Answer:
        """The provider's answer, once its head is there. Raises UpstreamFailed, also when flights.py has given up the wait for it."""
        plan = attempt.plan
        flight.sent = flight.awaiting_head = True
        flight.drains = plan.provider.drains
        try:
            return await self._forwarder.send(plan.provider, plan.dialect, route, target, exchange, body, attempt.turn)
        except asyncio.CancelledError:
            if not flight.goes_on():
                raise
            problem = f"given up: {flight.cut.replace('_', ' ')}"
            raise FirstByteTimeout(problem, sent="all", connected=True) from None
        finally:
            flight.awaiting_head = False

    async def _try_again(self, call: Call, old: Attempt, exchange: Exchange, turn: Turn | None) -> Attempt:
        """Ends an attempt that cannot have been billed and holds for the next, in one commit, in that order. `turn`: what that is made with."""
        self._authorizer.admit()
        new = self._attempt(call, old.plan, old.body)
        new.turn = turn
        if turn is None:
            self._take_turn(new)
        mark = fingerprint(exchange, old.body, call.caller) if call.caller.idempotency else ""
        new.stage = "queued"
        new.asked = self._authorizer.command(call, new, mark)
        both = self._batcher.post(self._settler.command(old), new.asked)
        new.pending = both
        answer = await both
        if isinstance(answer, FareboxError):
            raise LedgerDown(retry_after_s=5)
        new.stage = "planned"
        settled, outcome = answer
        if isinstance(outcome, Authorized):  # noted first: whatever is said of the old one, there is money set aside for the new
            new.hold, new.available, new.stage = outcome.hold, outcome.available, "held"
        self._settler.booked(call, old, settled)
        if new.stage == "held":
            return new
        if isinstance(outcome, Refused) and outcome.reason != "held":
            raise self._authorizer.refusal_of(outcome, new.plan, call.caller.run)
        if await self._hold(exchange, call, new, mark) is not None:  # what it was planned with has changed meanwhile
            raise InProgress(request_id=call.request_id, retry_after_s=1)
        return new

    # --- answers without a provider ------------------------------------------------------------------------------------------------

    async def _again(self, exchange: Exchange, call: Call, repeated: Repeated) -> None:
        """The recorded answer of the request that had this Idempotency-Key first."""
        if repeated.state == "mismatch":
            raise IdempotencyMismatch
        if repeated.state == "running":
            raise InProgress(request_id=repeated.request_id, retry_after_s=1)
        recorded = replay.unseal(call.secret, repeated.request_id, repeated.answer) if repeated.answer else None
        if recorded is None:
            raise AlreadyCharged(request_id=repeated.request_id)
        await exchange.answer(recorded.status, [*recorded.headers, (b"x-farebox-replayed", b"1")], recorded.body)

    async def _dry_run(self, exchange: Exchange, call: Call, plan: Plan) -> None:
        """The quote, and nothing else: no hold, nothing forwarded."""
        bound = plan.bound
        body = _quote_json(call, plan)
        headers = [(b"content-type", b"application/json"), (b"x-farebox-request-id", call.request_id.encode())]
        headers.append((b"x-farebox-hold", format_usd(bound.price.at(bound.units_max)).encode()))
        await exchange.answer(200, headers, body)


def _check_encoding(exchange: Exchange) -> None:
    """Raises UnsupportedEncoding: what a body grows to is not known before it is read."""
    if b"content-encoding" in exchange.named:
        encoding = exchange.named[b"content-encoding"].strip().lower()
        if encoding not in (b"identity", b""):
            raise UnsupportedEncoding(encoding=encoding.decode("latin-1")[:32])


def _quote_json(call: Call, plan: Plan) -> bytes:
    bound = plan.bound
    quote = {
        "object": "farebox.quote",
        "request_id": call.request_id,
        "model": f"{plan.provider.name}/{plan.model}",
        "worst_case_usd": format_usd(bound.price.at(bound.units_max)),
        "worst_case_cost_usd": format_usd(bound.cost.at(bound.units_max)),
        "least_usd": format_usd(bound.price.at(bound.units_min)),
        "input_tokens_max": plan.input_tokens,
        "max_output_tokens": bound.units_max,
        "min_output_tokens": bound.units_min,
        "book_version": plan.gate.book_version,
    }
    return msgspec.json.encode(quote)
