"""Routes that cost nothing: the models a key may use, token counts, probes. The key is checked against the ledger each time."""

import asyncio
from collections.abc import Iterator
from urllib.parse import parse_qs

from farebox import limits
from farebox.clock import Clock
from farebox.dialects import DIALECTS
from farebox.dialects.base import ModelEntry, Route
from farebox.dialects.credentials import find_key
from farebox.errors import Draining, InvalidRequest, ModelNotAllowed, ModelNotFound, UpstreamAccount, UpstreamBadResponse
from farebox.gateway import forward
from farebox.gateway.call import Calls, Shelf
from farebox.gateway.exchange import Exchange
from farebox.gateway.flights import Flight, Flights
from farebox.gateway.forward import Forwarder
from farebox.gateway.identify import Keyring, refusal_of
from farebox.gateway.quote import Quoter, allowed
from farebox.gateway.upstream import Answer, UpstreamFailed
from farebox.ids import new_id
from farebox.ledger.plan import Policy
from farebox.pricing.rows import ModelRow
from farebox.providers.catalogue import HOME, Catalogue, Provider
from farebox.store.reading import Books

_JSON = [(b"content-type", b"application/json")]
_ERRORS_FROM = 400


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
        flights: Flights,
        catalogue: Catalogue,
        clock: Clock,
    ) -> None:
        self._keyring = keyring
        self._shelf = shelf
        self._quoter = quoter
        self._forwarder = forwarder
        self._calls = calls
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
        page = _page_size(query.get("limit", [""])[0])
        body = dialect.models(
            list(self._entries(policy, route.dialect, await self._shelf.refresh())), limit=page, after_id=query.get("after_id", [None])[0]
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
            for row in books.listed.models(now, provider.prices):
                if row.kind == "chat" and _may(policy, f"{provider.name}/{row.model}", row.model):
                    yield _entry_of(row, provider, bare=provider.name == HOME[dialect])

    async def _entry(self, policy: Policy, dialect: str, name: str) -> ModelEntry:
        books = await self._shelf.refresh()
        provider, model = self._quoter.resolve(dialect, name, books)
        row = books.listed.model(provider.prices, model)
        if row is None or books.listed.find(provider.prices, model, self._clock()) is None:
            raise ModelNotFound(model=name, candidates="")
        allowed(policy.key, f"{provider.name}/{model}", name)
        return ModelEntry(name, provider.name, name, 0, row.context_tokens_max, row.output_tokens_max)

    async def _pass(self, exchange: Exchange, route: Route, policy: Policy, flight: Flight) -> None:
        """Passed on to the provider, which does it for nothing."""
        body = await self._calls.read_in_time(exchange, flight)
        dialect = DIALECTS[route.dialect]
        ask = dialect.ask(route, body, exchange.named)
        provider, model = self._quoter.resolve(route.dialect, ask.model, self._shelf.books())
        if ask.model:
            allowed(policy.key, f"{provider.name}/{model}", ask.model)
        dialect = self._quoter.dialect_at(provider)
        target = dialect.target(ask, route, model, exchange.query)
        sent = dialect.rewrite(ask, body, model=None if model == ask.model else model, output_cap=None)
        try:
            answer = await self._send(exchange, route, provider, target, sent, flight)
            reply = forward.readable(answer, await answer.read_all(limits.error_body_bytes_max))
        except UpstreamFailed as failure:
            if flight.is_cut():
                raise Draining(retry_after_s=1) from failure
            raise forward.refusal_of(failure, provider.name, costs=False) from failure
        if reply is None:
            raise UpstreamBadResponse(provider=provider.name, problem="its answer cannot be read", charged="Nothing was charged.")
        if answer.status >= _ERRORS_FROM and dialect.fault(answer.status, reply) == "account":
            raise UpstreamAccount(provider=provider.name)
        headers = [*forward.answer_headers(answer, dialect), (b"x-farebox-request-id", new_id("req").encode())]
        await exchange.answer(answer.status, headers, reply)

    async def _send(self, exchange: Exchange, route: Route, provider: Provider, target: str, body: bytes, flight: Flight) -> Answer:
        """The provider's answer, once its head is there. Raises UpstreamFailed, and Draining when flights.py has given up the wait for it."""
        flight.awaiting_head = True
        try:
            dialect = self._quoter.dialect_at(provider)
            flight.answer = await self._forwarder.send(
                provider, dialect, route, target, exchange, body, first_byte_s=limits.count_tokens_s_max
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


def _entry_of(row: ModelRow, provider: Provider, *, bare: bool) -> ModelEntry:
    name = row.model if bare else f"{provider.name}/{row.model}"
    return ModelEntry(name, provider.name, row.model, 0, row.context_tokens_max, row.output_tokens_max)


def _page_size(text: str) -> int | None:
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= limits.page_rows_max:
        raise InvalidRequest(problem=f"limit is a number from 1 to {limits.page_rows_max}.")
    return int(text)
