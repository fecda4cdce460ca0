"""The two ways to the control API: a gateway's address, or the same app over the store itself, in this process."""

import asyncio
import http.client
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from farebox.cli.api import Answer, Wire
from farebox.cli.failing import Failed

if TYPE_CHECKING:
    from farebox.settings import Settings

_REQUEST_S_MAX = 600


def to_gateway(url: str) -> Wire:
    """Over HTTP. A connection for each request: commands send few, and hours may lie between two."""
    address = urlsplit(url)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise Failed(f"{url!r} is not the address of a gateway, such as http://127.0.0.1:8080")
    kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection

    def carry(method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        connection = kind(address.hostname or "", address.port, timeout=_REQUEST_S_MAX)
        try:
            connection.request(method, f"{address.path}{target}", body or None, dict(headers))
            answer = connection.getresponse()
            return Answer(answer.status, answer.read())
        except (OSError, http.client.HTTPException) as problem:
            raise Failed(f"the gateway at {url} cannot be reached: {str(problem) or type(problem).__name__}") from None
        finally:
            connection.close()

    return carry


@contextmanager
def to_store(settings: "Settings") -> Iterator[Wire]:
    """The control app over the store, as a gateway would mount it. Raises SettingsError when another process has the store."""
    from farebox import logs
    from farebox.app import fill_price_book, open_ledger, quoter_of
    from farebox.clock import wall_clock
    from farebox.control.admin_keys import ensure_admin_key
    from farebox.control.app import create
    from farebox.control.context import Context
    from farebox.providers.configured import catalogue_of
    from farebox.store.reports import Reports

    logs.configure(settings.log.model_copy(update={"level": "error"}))
    catalogue = catalogue_of(settings)
    batcher = open_ledger(settings)
    try:
        with asyncio.Runner() as runner:
            runner.run(fill_price_book(settings, batcher, wall_clock))
            reports = Reports(settings.place, wall_clock)
            runner.run(ensure_admin_key(settings, batcher, reports))
            reports.close()
            context = Context(
                settings=settings,
                store=settings.place,
                batcher=batcher,
                catalogue=catalogue,
                quoter=quoter_of(settings, catalogue),
                clock=wall_clock,
                figures=dict,
                ready=lambda: "no gateway is running",
            )
            control = create(context)
            yield lambda *request: runner.run(_through(control, *request))
            control.close()
    finally:
        batcher.close()


async def _through(app: Any, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
    """One request through an ASGI app."""
    path, _, query = target.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": None,
        "server": None,
    }
    status, pieces = 500, []

    async def receive() -> Mapping[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        else:
            pieces.append(message.get("body", b""))

    await app(scope, receive, send)
    return Answer(status, b"".join(pieces))
