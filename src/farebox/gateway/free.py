"""Routes that cost nothing: the models a key may use, token counts, probes. The key is checked against the ledger each time."""

import asyncio
from collections.abc import Iterator
from urllib.parse import parse_qs

import msgspec

from farebox import limits
from farebox.clock import Clock
from farebox.dialects import DIALECTS
from farebox.dialects.base import Ask, ModelEntry, Route
from farebox.dialects.credentials import find_key
from farebox.dialects.openai import azure
from farebox.errors import Draining, InvalidRequest, ModelNotAllowed, ModelNotFound, RouteNotFound, UpstreamAccount, UpstreamBadResponse
from farebox.exchange import Exchange, Headers
from farebox.gateway import forward
from farebox.gateway.background import Background, Followed
from farebox.gateway.call import Calls, Shelf
from farebox.gateway.flights import Flight, Flights
from farebox.gateway.forward import Forwarder
from farebox.gateway.identify import Keyring, refusal_of
from farebox.gateway.owned import Owned
from farebox.gateway.quote import Quoter, allowed
from farebox.gateway.upstream import Answer, UpstreamFailed
from farebox.ids import new_id
from farebox.ledger.plan import Policy
from farebox.pricing.rows import ModelRow
from farebox.providers.catalogue import HOME, Catalogue, Provider
from farebox.providers.health import Turn
from farebox.store.reading import Books

_JSON = [(b"content-type", b"application/json")]
_ERRORS_FROM = 400
_NOT_FOUND = 404
_FREE_AT_HOME = frozenset(("moderations", "input_tokens"))
"""What the API's own provider does for nothing, and others who speak the API may charge for (Mistral sells moderation by the token)."""
_LISTED = {"elevenlabs": "speech"}
"""What kind of models an API lists, where that is not chat."""


class Free:
    """Serves the routes without a charge."""

    def __init__(
        self,
        *,
        keyring: Keyring,
        shelf: Shelf,
        quoter: Quoter,
        forwarder: Forwarder,
        calls: Calls,
        owned: Owned,
        background: Background,
        flights: Flights,
        catalogue: Catalogue,
        clock: Clock,
    ) -> None:
        self._keyring = keyring
        self._shelf = shelf
        self._quoter = quoter
        self._forwarder = forwarder
        self._calls = calls
        self._owned = owned
        self._background = background
        self._flights = flights
        self._catalogue = catalogue
        self._clock = clock

    async def serve(self, exchange: Exchange, route: Route) -> None:
        """Raises a Refusal."""
        if route.kind == "probe":
            return await exchange.answer(200, [], b"")
        policy = await self._keyring.fresh(find_key(exchange.headers, exchange.query, route))
        refusal = refusal_of(policy, self._clock())
        if refusal is not None:
            raise refusal
        if route.kind in ("free", "owned"):
            flight = self._flights.begin(exchange, policy.key.id)  # it holds a connection to a provider as long as a call would
            try:
                return await self._pass(exchange, route, policy, flight)
            finally:
                self._flights.end(flight)
        dialect = DIALECTS[route.dialect]
        if route.kind == "model":
            return await exchange.answer(200, _JSON, dialect.model(await self._entry(policy, route.dialect, route.argument)))
        query = parse_qs(exchange.query.decode("latin-1"), max_num_fields=limits.request_headers_max)
        page = _page_size(query.get("limit", query.get("pageSize", [""]))[0])
        body = dialect.models(
            list(self._entries(policy, route.dialect, await self._shelf.refresh())),
            limit=page,
            after_id=query.get("after_id", query.get("pageToken", [None]))[0],
        )
        return await exchange.answer(200, _JSON, body)

    def _entries(self, policy: Policy, dialect: str, books: Books) -> Iterator[ModelEntry]:
        """What this key may call in this dialect and the gateway can price: aliases, then each provider's models."""
        now = self._clock()
        for alias, target in self._catalogue.aliases.items():
            provider = self._catalogue.providers[target.partition("/")[0]]
            if provider.dialect == dialect and _may(policy, target, alias):
                yield ModelEntry(alias, owned_by=provider.name, display_name=alias)
        for provider in self._catalogue.providers.values():
            if provider.dialect != dialect:
                continue
            for row in _rows(provider, books, now):
                if row.kind == _LISTED.get(dialect, "chat") and _may(policy, f"{provider.name}/{row.model}", row.model):
                    yield _entry_of(row, provider, bare=provider.name == HOME[dialect])

    async def _entry(self, policy: Policy, dialect: str, name: str) -> ModelEntry:
        books = await self._shelf.refresh()
        provider, model = self._quoter.resolve(dialect, name, books)
        row = books.listed.model(provider.prices, provider.behind(model))
        if row is None or books.listed.find(provider.prices, row.model, self._clock()) is None:
            raise ModelNotFound(model=name, candidates="")
        allowed(policy.key, f"{provider.name}/{model}", name)
        return ModelEntry(name, provider.name, name, 0, row.context_tokens_max, row.output_tokens_max)

    async def _pass(self, exchange: Exchange, route: Route, policy: Policy, flight: Flight) -> None:
        """Passed on to the provider, which does it for nothing."""
        body = await self._calls.read_in_time(exchange, flight)
        dialect = DIALECTS[route.dialect]
        ask = dialect.ask(route, body, exchange.named)
        if route.kind == "free":
            ask.model = azure.named(route, ask.model)
        provider, model = await self._place(route, policy, ask)
        dialect = self._quoter.dialect_at(provider)
        target = dialect.target(ask, route, model, exchange.query)
        sent = dialect.rewrite(ask, body, model=None if model == ask.model else model, output_cap=None)
        if route.kind == "owned" and route.method == "DELETE":
            await self._background.look(provider, route.argument)
        request_id = new_id("req")
        try:
            answer, reply = await self._ask(exchange, route, provider, model, target, sent, flight)
            headers = [
                *forward.answer_headers(answer, dialect, forward.upstream_request_id(answer)),
                (b"x-farebox-request-id", request_id.encode()),
            ]
            if route.kind == "owned" and (answer.header(b"content-type") or b"").startswith(b"text/event-stream"):
                await self._show(exchange, route, provider, answer, headers)
                return
            if answer.status < _ERRORS_FROM:
                most = limits.answer_body_bytes_max if route.kind == "owned" else limits.error_body_bytes_max
                reply = forward.readable(answer, await answer.read_all(most))
        except UpstreamFailed as failure:
            if flight.is_cut():
                raise Draining(retry_after_s=1) from failure
            raise forward.refusal_of(failure, provider.name, costs=False) from failure
        if reply is None:
            raise UpstreamBadResponse(provider=provider.name, problem="its answer cannot be read", charged="Nothing was charged.")
        if answer.status >= _ERRORS_FROM and dialect.fault(answer.status, reply) == "account":
            raise UpstreamAccount(provider=provider.name)
        if answer.status < _ERRORS_FROM:
            if ask.stores:
                await self._owned.keep(policy, ask, dialect.read_answer(ask, reply, dict(answer.headers)), provider.name, request_id)
            if route.kind == "owned":
                await self._note(route, provider, answer, reply)
        await exchange.answer(answer.status, headers, reply)

    async def _place(self, route: Route, policy: Policy, ask: Ask) -> tuple[Provider, str]:
        """Where a request goes: to whoever keeps the objects that it is about, or to the provider of its model. Raises NotFound."""
        if route.kind == "owned":
            providers = self._catalogue.providers
            home = HOME.get(route.dialect)
            names = [name for name, provider in providers.items() if provider.dialect == route.dialect]
            return providers[await self._owned.keeper(policy, ask, sorted(names, key=lambda name: name != home))], ask.model
        provider, model = self._quoter.resolve(route.dialect, ask.model, self._shelf.books())
        if route.name in _FREE_AT_HOME and provider.prices != HOME[route.dialect] and not provider.azure:
            hint = f"Whether {provider.name} does this for nothing is not known."
            raise RouteNotFound(method=route.method, path=route.upstream_path, hint=hint)
        if ask.model:
            allowed(policy.key, f"{provider.name}/{model}", ask.model)
        if ask.uses:
            await self._owned.inform(policy, ask, provider, model)
        return provider, model

    async def _note(self, route: Route, provider: Provider, answer: Answer, reply: bytes) -> None:
        """What a client learns of an object is known here before."""
        if route.method == "DELETE":
            await self._owned.drop(provider.name, route.argument)
        else:
            await self._background.learned(provider, route.argument, reply, dict(answer.headers), changed=route.method == "POST")

    async def _show(self, exchange: Exchange, route: Route, provider: Provider, answer: Answer, headers: Headers) -> None:
        """An object's events again, as they come. Where they are the first to tell what the call came to, it is charged before the client sees
        their end; where they break off, whoever asks the provider next learns it.
        """
        try:
            followed = await self._background.follow(provider, route.argument, dict(answer.headers))
            exchange.watch()
            await exchange.head(answer.status, headers)
            while not exchange.gone and (piece := await answer.read()):
                if shown := piece if followed is None else followed.meter.feed(piece):
                    await exchange.piece(shown)
                if followed is not None and followed.meter.finished:
                    break
            ending = b"" if followed is None else await self._ending(followed)
            if not exchange.gone:
                await exchange.end(ending)
        finally:
            answer.abort()

    async def _ending(self, followed: Followed) -> bytes:
        """What a client is still to see of such events, whose end is charged by now; the last one may lack the blank line that would end it."""
        meter = followed.meter
        rest = b"" if meter.finished else meter.close()
        if not meter.finished:
            return rest
        await self._background.ended(followed)
        return rest + meter.held_back

    async def _ask(
        self, exchange: Exchange, route: Route, provider: Provider, model: str, target: str, body: bytes, flight: Flight
    ) -> tuple[Answer, bytes | None]:
        """The provider's answer, and of an error what it says, if that can be read. Another key is tried where one is refused."""
        turns, dialect = self._forwarder.turns, self._quoter.dialect_at(provider)
        turn, tried = turns.take(provider, route.name, model), set()
        while True:
            try:
                answer = await self._send(exchange, route, target, body, flight, turn)
                if answer.status < _ERRORS_FROM:
                    return answer, None
                said = forward.readable(answer, await answer.read_all(limits.error_body_bytes_max))
                fault = dialect.fault(answer.status, said or b"")
                turns.erred(turn, answer, said or b"", fault, route.name, model)
            finally:
                turns.left(turn)
            tried.add(turn.number)
            if route.kind == "owned" and answer.status == _NOT_FOUND:
                other = turns.another(turn, route.name, model, tried)
            else:
                other = turns.other(turn, answer, fault, route.name, model, tried)
            if other is None:
                return answer, said
            turn = other

    async def _send(self, exchange: Exchange, route: Route, target: str, body: bytes, flight: Flight, turn: Turn) -> Answer:
        """The provider's answer, once its head is there. Raises UpstreamFailed, and Draining when flights.py has given up the wait for it."""
        provider = turn.provider
        flight.awaiting_head = True
        try:
            dialect = self._quoter.dialect_at(provider)
            flight.answer = await self._forwarder.send(
                provider, dialect, route, target, exchange, body, turn, first_byte_s=limits.count_tokens_s_max
            )
        except asyncio.CancelledError:
            if not flight.goes_on():
                raise
            raise Draining(retry_after_s=1) from None
        finally:
            flight.awaiting_head = False
        return flight.answer


def _may(policy: Policy, name: str, asked: str) -> bool:
    try:
        allowed(policy.key, name, asked)
    except ModelNotAllowed:
        return False
    return True


def _rows(provider: Provider, books: Books, now: int) -> Iterator[ModelRow]:
    """A provider's models under the names that they are called by there."""
    if not provider.deployments:
        yield from books.listed.models(now, provider.prices)
    for name, model in provider.deployments.items():
        row = books.listed.model(provider.prices, model)
        if row is not None:
            yield msgspec.structs.replace(row, model=name)


def _entry_of(row: ModelRow, provider: Provider, *, bare: bool) -> ModelEntry:
    name = row.model if bare else f"{provider.name}/{row.model}"
    return ModelEntry(name, provider.name, row.model, 0, row.context_tokens_max, row.output_tokens_max)


def _page_size(text: str) -> int | None:
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= limits.page_rows_max:
        raise InvalidRequest(problem=f"limit is a number from 1 to {limits.page_rows_max}.")
    return int(text)
