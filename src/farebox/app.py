"""The composition root: settings into a running gateway. The only place that wires rooms together."""

import asyncio
import gc
import json
import os
import signal
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import structlog

from farebox import __version__, logs, metrics
from farebox.clock import US_PER_S, Clock, steady_clock, wall_clock
from farebox.control.admin_keys import ensure_admin_key
from farebox.control.context import Context
from farebox.gateway import told
from farebox.gateway.asgi import Gateway
from farebox.gateway.authorize import Authorizer
from farebox.gateway.call import Calls, Shelf
from farebox.gateway.flights import Flights
from farebox.gateway.forward import Forwarder
from farebox.gateway.free import Free
from farebox.gateway.identify import Keyring
from farebox.gateway.quote import Quoter
from farebox.gateway.relay import Relay
from farebox.gateway.settle import Settler
from farebox.gateway.upstream import Upstream, UpstreamLimits
from farebox.ids import new_id
from farebox.pricing.importer import from_genai_prices
from farebox.providers.catalogue import Catalogue, describe
from farebox.serving import Asgi, ControlThread, Receive, Scope, Send, listening_socket, server
from farebox.settings import Provider as ProviderSettings
from farebox.settings import Settings, parse_address
from farebox.store.batcher import Batcher
from farebox.store.pricebook import publish
from farebox.store.reading import Reader
from farebox.store.reports import Reports
from farebox.store.sqlite import SqliteStore
from farebox.store.sweeper import Sweeper

_log = structlog.get_logger()
_CONTROL = ("/api/", "/healthz", "/readyz", "/metrics", "/console")
_GC_THRESHOLDS = (20_000, 50, 100)
"""Calls make next to no cycles: looking for them every 700 objects costs 6 % of a call (measured)."""


def open_ledger(settings: Settings, *, clock: Clock = wall_clock, vfs: str | None = None) -> Batcher:
    """The store of these settings, ready for commands. Raises SettingsError when it cannot be had."""

    def observe(size: int, seconds: float) -> None:
        metrics.batch_size.observe(size)
        metrics.commit_seconds.observe(round(seconds * US_PER_S))

    return Batcher(
        SqliteStore(settings.store_path, clock=clock, steady=steady_clock if clock is wall_clock else None, alarm=told.alarm, vfs=vfs),
        observe=observe,
    )


def catalogue_of(settings: Settings) -> Catalogue:
    """The providers and aliases of these settings. Raises SettingsError."""
    return Catalogue(
        [_provider(name, provider) for name, provider in settings.providers.items()],
        {alias: model.route[0] for alias, model in settings.models.items()},
    )


def _provider(name: str, given: ProviderSettings) -> Any:
    return describe(
        name,
        given.api_key.get_secret_value(),
        dialect=given.dialect,
        base_url=given.base_url,
        prices=given.prices,
        cap_field=given.cap_field,
        drains=given.on_disconnect == "drain",
        stops_billing_on_cancel=given.stops_billing_on_cancel,
        proxy=given.proxy,
        ca_file=str(given.ca_file) if given.ca_file else None,
    )


def quoter_of(settings: Settings, catalogue: Catalogue) -> Quoter:
    return Quoter(catalogue, default_output=settings.limits.default_max_output_tokens, least_output=settings.limits.min_output_tokens)


async def fill_price_book(settings: Settings, batcher: Batcher, clock: Clock) -> int:
    """Fills an empty price book from the prices that come with farebox. Returns the version that counts."""
    reader = Reader(settings.store_path)
    try:
        version = reader.book_version()
        if version or not settings.pricing.import_at_start:
            return version
        imported = from_genai_prices(clock())
        return await publish(batcher, reader.books(), imported.models, imported.prices, note="first start")
    finally:
        reader.close()


async def let_somebody_administer(settings: Settings, batcher: Batcher, clock: Clock) -> str | None:
    """Makes sure of an admin key; returns its secret if it was made now, to be shown once."""
    reports = Reports(settings.store_path, clock)
    try:
        return await ensure_admin_key(settings, batcher, reports, clock)
    finally:
        reports.close()


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

    async def begin(self) -> None:
        """Ends what an earlier process left open, fills an empty price book, and wires the way of a request."""
        settings, limits = self.settings, self.settings.limits
        self.sweeper = Sweeper(
            settings.store_path,
            self.batcher,
            owner=self.owner,
            clock=self.clock,
            alarm=told.alarm,
            replay_kept_s=limits.replay_kept_s,
        )
        swept = await self.sweeper.begin()
        if swept:
            _log.warning("swept", holds=swept, why="an earlier process ended without settling them")
        await fill_price_book(settings, self.batcher, self.clock)
        self.new_admin_key = await let_somebody_administer(settings, self.batcher, self.clock)
        self._reader = Reader(settings.store_path)
        self.flights = Flights(
            calls_max=limits.calls_in_flight_max,
            drain_s=limits.drain_s_max,
            drains_max=limits.drains_max,
            drains_per_key_max=limits.drains_per_key_max,
            request_s=limits.request_s_max,
        )
        self.upstream = Upstream(UpstreamLimits(first_byte_s=limits.first_byte_s_max, idle_s=limits.stream_idle_s_max))
        self.app = self._wire(self._reader)
        self._sweeping = asyncio.ensure_future(self.sweeper.run())
        self._ready = ""

    def _wire(self, reader: Reader) -> Gateway:
        settings, clock = self.settings, self.clock
        authorizer = Authorizer(
            self.batcher,
            owner=self.owner,
            clock=clock,
            topup_url=settings.server.topup_url,
            held_wait_s=settings.limits.held_wait_s,
            request_s=settings.limits.request_s_max + settings.limits.drain_s_max,
        )
        self.lines = told.Lines(on=settings.log.requests, json=settings.log.format == "json")
        teller = told.Teller(self.lines, clock, wake=authorizer.waiters.wake)
        self.settler = Settler(self.batcher, clock, teller.settled)
        keyring, shelf = Keyring(reader), Shelf(reader)
        forwarder = Forwarder(self.upstream, self.catalogue)
        calls = Calls(
            keyring=keyring,
            shelf=shelf,
            quoter=self.quoter,
            authorizer=authorizer,
            forwarder=forwarder,
            relay=Relay(self.settler, self.flights, clock, records=settings.limits.replay_kept_s > 0),
            settler=self.settler,
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
            flights=self.flights,
            catalogue=self.catalogue,
            clock=clock,
        )
        return Gateway(calls, free)

    def ready(self) -> str:
        """Why the gateway takes no calls, or ""."""
        return "draining" if self._ready == "" and self.flights.closing else self._ready

    def figures(self) -> Mapping[str, float]:
        """The gauges, as of now."""
        stats = self.upstream.stats()
        metrics.in_flight.set(len(self.flights))
        metrics.drains.set(self.flights.draining)
        metrics.drained.set(self.flights.drained_total)
        metrics.drains_refused.set(self.flights.drains_refused_total)
        metrics.queue.set(self.batcher.waiting)
        metrics.upstream_open.set(stats.open)
        return {"in_flight": len(self.flights), "queue": self.batcher.waiting}

    def context(self) -> Context:
        """What the control plane is given."""
        return Context(
            settings=self.settings,
            store=self.settings.store_path,
            batcher=self.batcher,
            catalogue=self.catalogue,
            quoter=self.quoter,
            clock=self.clock,
            figures=self.figures,
            ready=self.ready,
        )

    async def end(self, patience_s: float) -> None:
        """Takes no more calls, lets those on their way end and settles every one, then closes the ledger."""
        await self.flights.close(patience_s)
        await self.settler.close()
        self.lines.flush()
        self._sweeping.cancel()
        await self.upstream.close()

    def close(self) -> None:
        """The very last thing: nothing may submit any more."""
        self.sweeper.close()
        self._reader.close()
        self.batcher.close()  # last, so that the store folds its log into its file


def front(gateway: Asgi, control: Asgi | None) -> Asgi:
    """One callable for an address that serves both planes; control routes do not exist where there is no control plane."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if control is not None and scope["path"].startswith(_CONTROL):
            await control(scope, receive, send)
        else:
            await gateway(scope, receive, send)

    return app


async def serve(settings: Settings, *, announce: Callable[[str], None], vfs: str | None = None) -> None:
    """Runs a gateway until SIGTERM or SIGINT; `announce` is told its URL when it takes calls."""
    from farebox.control.app import create, self_service

    logs.configure(settings.log)
    loop = asyncio.get_running_loop()
    running = Running(settings, vfs=vfs)
    await running.begin()
    listening = listening_socket(*parse_address(settings.server.listen, "server.listen"))
    admin = settings.server.admin_listen
    admin_socket = listening_socket(*parse_address(admin, "server.admin_listen")) if admin else None
    control = ControlThread(lambda: create(running.context()))
    control.start(admin_socket)
    data = server(front(running.app, self_service(control) if admin_socket is not None else control))
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    serving = asyncio.ensure_future(data.serve([listening]))
    url = _url(listening)
    note = _leave_note(settings, url, admin_socket)
    announce(url)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
    await stopping.wait()
    _log.info("stopping", calls_in_flight=len(running.flights))
    await running.end(settings.limits.shutdown_s_max)
    data.should_exit = True
    await serving
    control.stop()
    running.close()
    note.unlink(missing_ok=True)


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _leave_note(settings: Settings, url: str, admin_socket: socket.socket | None) -> Path:
    """Beside the store: where this gateway is, for the command line to find."""
    note = settings.data_dir / "gateway.json"
    told_admin = _url(admin_socket) if admin_socket is not None else url
    note.write_text(json.dumps({"url": url, "admin_url": told_admin, "pid": os.getpid(), "version": __version__}))
    return note
