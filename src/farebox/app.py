"""The composition root: settings into a running gateway. The only place that wires rooms together."""

import asyncio
import gc
import json
import os
import signal
import socket
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

import structlog

from farebox import __version__, logs, metrics
from farebox.clock import US_PER_S, Clock, wall_clock
from farebox.connection import Serve
from farebox.control.admin_keys import ensure_admin_key
from farebox.control.context import Context
from farebox.exchange import Exchange
from farebox.gateway import told
from farebox.gateway.authorize import Authorizer
from farebox.gateway.background import Background
from farebox.gateway.call import Calls, Shelf
from farebox.gateway.counting import Counter
from farebox.gateway.edge import Gateway
from farebox.gateway.flights import Flights
from farebox.gateway.forward import Forwarder
from farebox.gateway.free import Free
from farebox.gateway.identify import Keyring
from farebox.gateway.outage import Outage
from farebox.gateway.owned import Owned
from farebox.gateway.quote import Quoter
from farebox.gateway.relay import Relay
from farebox.gateway.settle import Settler
from farebox.gateway.upstream import Upstream, UpstreamLimits
from farebox.ids import new_id
from farebox.ledger.commands import Authorize
from farebox.pricing.importer import from_genai_prices
from farebox.providers.catalogue import Catalogue
from farebox.providers.configured import catalogue_of
from farebox.request import Request
from farebox.serving import Asgi, ControlThread, asgi, listening_socket, server
from farebox.settings import Settings, parse_address
from farebox.store.batcher import Batcher
from farebox.store.objects import Objects
from farebox.store.opening import open_store
from farebox.store.pricebook import publish, publishing
from farebox.store.reading import Books, Lookup, Reader
from farebox.store.reports import Reports
from farebox.store.sweeper import Sweeper
from farebox.store.waiting import Queue

_log = structlog.get_logger()
_CONTROL = ("/api/", "/healthz", "/readyz", "/metrics", "/console")
_GC_THRESHOLDS = (20_000, 50, 100)
"""Calls make next to no cycles: looking for them every 700 objects costs 6 % of a call (measured)."""


def open_ledger(settings: Settings, *, clock: Clock = wall_clock, vfs: str | None = None) -> Batcher:
    """The store of these settings, ready for commands. Raises SettingsError when it cannot be had."""

    def observe(size: int, seconds: float) -> None:
        metrics.batch_size.observe(size)
        metrics.commit_seconds.observe(round(seconds * US_PER_S))

    return Batcher(open_store(settings.place, alarm=told.alarm, clock=clock, vfs=vfs), observe=observe)


def quoter_of(settings: Settings, catalogue: Catalogue) -> Quoter:
    return Quoter(catalogue, default_output=settings.limits.default_max_output_tokens, least_output=settings.limits.min_output_tokens)


async def fill_price_book(settings: Settings, batcher: Batcher, clock: Clock) -> int:
    """Fills an empty price book from the prices that come with farebox. Returns the version that counts."""
    reader = Reader(settings.place)
    try:
        if reader.book_version() or not settings.pricing.import_at_start:
            return reader.book_version()
        async with publishing(batcher) as owner:
            books = reader.books()
            if books.version:
                return books.version
            imported = from_genai_prices(clock())
            return await publish(batcher, owner, books, imported.models, imported.prices, note="first start")
    finally:
        reader.close()


async def let_somebody_administer(settings: Settings, batcher: Batcher, clock: Clock) -> str | None:
    """Makes sure of an admin key; returns its secret if it was made now, to be shown once."""
    reports = Reports(settings.place, clock)
    try:
        return await ensure_admin_key(settings, batcher, reports, clock)
    finally:
        reports.close()


async def furnish(settings: Settings, batcher: Batcher, clock: Clock) -> str | None:
    """What a store needs before it is of use: prices, and somebody who may administer. Returns that one's secret if it was made now."""
    await fill_price_book(settings, batcher, clock)
    return await let_somebody_administer(settings, batcher, clock)


async def prepare(settings: Settings, *, clock: Clock = wall_clock) -> None:
    """Brings a store to where several processes can start on it at once: its schema, and what `furnish` gives it."""
    batcher = open_ledger(settings, clock=clock)
    try:
        await furnish(settings, batcher, clock)
    finally:
        batcher.close()


class Running:
    """A gateway process: built, begun, served, ended."""

    def __init__(self, settings: Settings, *, clock: Clock = wall_clock, vfs: str | None = None) -> None:
        self.settings = settings
        self.clock = clock
        self.owner = new_id("proc")
        self.batcher = open_ledger(settings, clock=clock, vfs=vfs)
        self.catalogue = catalogue_of(settings)
        self.quoter = quoter_of(settings, self.catalogue)
        self._ready = "starting"

    async def begin(self, known: Books | None = None) -> None:
        """Books and ends what an earlier process left, fills an empty price book, and wires the way of a request.

        `known`: what was read of this store's price book before; it is read again only if another version counts.
        """
        settings, limits = self.settings, self.settings.limits
        self._loop = asyncio.get_running_loop()
        self.sweeper = Sweeper(
            settings.place,
            self.batcher,
            owner=self.owner,
            clock=self.clock,
            alarm=told.alarm,
            replay_kept_s=limits.replay_kept_s,
            lost_s=limits.heartbeat_lost_s,
        )
        self.outage = Outage(self.batcher, settings.data_dir, self.sweeper.beat)
        # before the sweeper ends holds: what a call came to is known, and need not be charged whole first
        replayed = await self.outage.begin(await self.sweeper.store())
        if replayed:
            _log.warning("replayed", settlements=replayed, why="an earlier process could not reach the ledger to book them")
        swept = await self.sweeper.begin()
        if swept:
            _log.warning("swept", holds=swept, why="an earlier process ended without settling them")
        self.new_admin_key = await furnish(settings, self.batcher, self.clock)
        self._lookup = Lookup(settings.place)
        self._objects = Objects(settings.place, self.batcher, self.clock)
        self._waiting = Queue(settings.place, self.batcher, owner=self.owner, clock=self.clock)
        self._shelf = Shelf(self._lookup, await self._lookup.books_since(known))
        self.flights = Flights(
            calls_max=limits.calls_in_flight_max,
            drain_s=limits.drain_s_max,
            drains_max=limits.drains_max,
            drains_per_key_max=limits.drains_per_key_max,
            request_s=limits.request_s_max,
        )
        self.upstream = Upstream(UpstreamLimits(first_byte_s=limits.first_byte_s_max, idle_s=limits.stream_idle_s_max))
        self.app = self._wire()
        self._sweeping = asyncio.ensure_future(self.sweeper.run())
        self._background.begin()
        self._ready = ""

    def _wire(self) -> Gateway:
        settings, clock = self.settings, self.clock
        authorizer = Authorizer(
            self.batcher,
            self.outage,
            owner=self.owner,
            clock=clock,
            topup_url=settings.server.topup_url,
            held_wait_s=settings.limits.held_wait_s,
            request_s=settings.limits.request_s_max + settings.limits.drain_s_max,
        )
        self.lines = told.Lines(on=settings.log.requests, json=settings.log.format == "json")
        teller = told.Teller(self.lines, clock, wake=authorizer.waiters.wake)
        self.settler = Settler(self.batcher, self.outage, clock, teller.settled)
        keyring, shelf = Keyring(self._lookup), self._shelf
        forwarder = Forwarder(self.upstream, self.catalogue)
        self.turns = forwarder.turns
        self._background = Background(self._waiting, self.batcher, self.outage, self.settler, forwarder, self.quoter, self.catalogue, clock)
        owned = Owned(self._objects)
        calls = Calls(
            keyring=keyring,
            shelf=shelf,
            quoter=self.quoter,
            authorizer=authorizer,
            forwarder=forwarder,
            counter=Counter(forwarder),
            relay=Relay(self.settler, self._background, self.flights, self.turns, clock, records=settings.limits.replay_kept_s > 0),
            settler=self.settler,
            owned=owned,
            flights=self.flights,
            batcher=self.batcher,
            clock=clock,
            body_bytes_max=settings.limits.request_body_bytes_max,
        )
        free = Free(
            keyring=keyring,
            shelf=shelf,
            quoter=self.quoter,
            forwarder=forwarder,
            calls=calls,
            owned=owned,
            background=self._background,
            flights=self.flights,
            catalogue=self.catalogue,
            clock=clock,
        )
        return Gateway(calls, free)

    def ready(self) -> str:
        """Why the gateway takes no calls, or ""."""
        if self._ready:
            return self._ready
        if self.flights.closing:
            return "draining"
        return "ledger_unavailable" if self.outage.lasts else ""

    def figures(self) -> Mapping[str, float]:
        """The gauges, as of now."""
        stats = self.upstream.stats()
        metrics.in_flight.set(len(self.flights))
        metrics.drains.set(self.flights.draining)
        metrics.drained.set(self.flights.drained_total)
        metrics.drains_refused.set(self.flights.drains_refused_total)
        metrics.journal_records.set(self.outage.records)
        metrics.queue.set(self.batcher.waiting)
        metrics.upstream_open.set(stats.open)
        self.turns.show()
        return {"in_flight": len(self.flights), "queue": self.batcher.waiting}

    def unheard(self, asked: Authorize) -> None:
        """Gives back a hold that may have been made unheard. From any thread."""
        self._loop.call_soon_threadsafe(self.outage.unheard, asked)

    def context(self, exposition: Callable[[], bytes] = metrics.exposition) -> Context:
        """What the control plane is given."""
        return Context(
            settings=self.settings,
            store=self.settings.place,
            batcher=self.batcher,
            catalogue=self.catalogue,
            quoter=self.quoter,
            clock=self.clock,
            figures=self.figures,
            ready=self.ready,
            exposition=exposition,
            unheard=self.unheard,
            away=lambda: self.outage.lasts,
        )

    async def end(self, patience_s: float) -> None:
        """Takes no more calls, lets those on their way end and settles every one, then closes the ledger."""
        self._background.stop()
        await self.flights.close(patience_s)
        await self._background.close()
        await self.settler.close()
        await self.outage.close()
        self.lines.flush()
        self._sweeping.cancel()
        await self.upstream.close()

    def close(self) -> None:
        """The very last thing: nothing may submit any more."""
        self.sweeper.close()
        self._objects.close()
        self._waiting.close()
        self._lookup.close()
        self.batcher.close()  # last, so that the store folds its log into its file


class Serving(Protocol):
    """A callable that says which requests are for it."""

    def serves(self, method: str, path: str) -> bool: ...

    def __call__(self, exchange: Exchange) -> Coroutine[Any, Any, None]: ...


def front(gateway: Serve, control: Asgi | None, unproxied: Serving | None = None) -> Serve:
    """One callable for an address that serves both planes; control routes do not exist where there is no control plane. Work that is not
    proxied is served on this event loop too: a request that crossed to another would cost more than its answer.
    """
    framework = None if control is None else asgi(control)

    def serve(request: Request) -> Coroutine[Any, Any, None]:
        place = request.place()
        if not place.startswith(_CONTROL):
            return gateway(request)
        if unproxied is not None and unproxied.serves(request.method, place):
            return unproxied(request)
        return gateway(request) if framework is None else framework(request)

    return serve


class Doors(NamedTuple):
    """The sockets that a process answers on: callers', and the control plane's own where it has one."""

    data: socket.socket
    admin: socket.socket | None

    @property
    def url(self) -> str:
        return _url(self.data)

    @property
    def admin_url(self) -> str:
        return _url(self.admin or self.data)


async def serve(settings: Settings, *, announce: Callable[[str], None], clock: Clock = wall_clock, vfs: str | None = None) -> None:
    """Runs a gateway in this process until SIGTERM or SIGINT; `announce` is told its URL when it takes calls."""
    logs.configure(settings.log)
    running = Running(settings, clock=clock, vfs=vfs)
    await running.begin()
    admin = settings.server.admin_listen
    doors = Doors(
        listening_socket(*parse_address(settings.server.listen, "server.listen")),
        listening_socket(*parse_address(admin, "server.admin_listen")) if admin else None,
    )
    with note_left(settings, doors):
        await answer(running, doors, began=lambda: announce(doors.url))


async def answer(
    running: Running, doors: Doors, *, began: Callable[[], None], exposition: Callable[[], bytes] = metrics.exposition
) -> None:
    """Answers until SIGTERM or SIGINT, then ends the gateway. `began` is called when it takes calls."""
    from farebox.control.app import create, self_service
    from farebox.control.office import Office
    from farebox.control.unproxied.app import Unproxied

    loop = asyncio.get_running_loop()
    control = ControlThread(lambda: create(running.context(exposition)))
    control.start(doors.admin)
    office = Office(running.context(exposition))
    unproxied = Unproxied(office, admins=doors.admin is None)
    data = server(front(running.app, self_service(control) if doors.admin is not None else control, unproxied))
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    serving = asyncio.ensure_future(data.serve([doors.data]))
    metrics.workers.set(1)
    began()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
    await stopping.wait()
    _log.info("stopping", calls_in_flight=len(running.flights))
    await running.end(running.settings.limits.shutdown_s_max)
    data.should_exit = True
    await serving
    office.close()
    control.stop()
    running.close()


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextmanager
def note_left(settings: Settings, doors: Doors) -> Iterator[None]:
    """While it lasts, a note in the data folder says where this gateway is, for the command line to find."""
    note = settings.data_dir / "gateway.json"
    note.parent.mkdir(parents=True, exist_ok=True)
    about = {"url": doors.url, "admin_url": doors.admin_url, "pid": os.getpid(), "version": __version__, "store": settings.store_id}
    note.write_text(json.dumps(about))
    yield
    note.unlink(missing_ok=True)
