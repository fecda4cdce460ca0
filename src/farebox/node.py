"""A node: several gateway processes on one address, over one PostgreSQL. Owns what they share (sockets, figures, the note) and what each is told.

Each of them is a whole gateway with a control plane of its own; none keeps money in memory. Their lives are the supervisor's.
"""

import asyncio
import base64
import pickle
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from farebox import figures, limits, logs
from farebox.app import Doors, Running, answer, note_left, prepare
from farebox.gateway import told
from farebox.serving import inherited, listening_sockets
from farebox.settings import Settings, parse_address
from farebox.supervisor import Order, Supervisor

_COMMAND = (sys.executable, "-P", "-m", "farebox.cli.worker")
_SUPERVISOR = "supervisor"


class Part(msgspec.Struct, frozen=True):
    """What one worker is told: its place, its sockets, where figures are shared, and the settings that the node began with.

    The settings are handed over, not read again: a worker that is started again has those of its siblings.
    """

    place: int
    data: int
    admin: int | None
    folder: Path
    settings: Settings

    def line(self) -> bytes:
        return base64.b64encode(pickle.dumps(msgspec.structs.astuple(self)))

    @classmethod
    def of(cls, line: bytes) -> "Part":
        return cls(*pickle.loads(base64.b64decode(line)))  # noqa: S301 - from the process that started us, over a pipe of our own


def patience_s(settings: Settings) -> int:
    """How long a gateway may take to end: calls end, are stopped, are cancelled; then its servers and the ledger close."""
    return settings.limits.shutdown_s_max + 5 * limits.settle_s_max


async def serve_node(settings: Settings, *, announce: Callable[[str], None]) -> bool:
    """Runs `server.workers` gateways until SIGTERM or SIGINT; `announce` is told their URL when all take calls. Whether all ended well."""
    logs.configure(settings.log)
    await prepare(settings)  # by one, before there are many
    doors = _doors(settings)
    with tempfile.TemporaryDirectory(prefix="farebox-") as name, note_left(settings, doors[0]):
        folder = Path(name)
        own = figures.Shared(folder, _SUPERVISOR, _nothing_to_refresh)

        def alarm(what: str, **facts: Any) -> None:
            told.alarm(what, **facts)
            own.leave()

        supervisor = Supervisor(
            [_order(place, one, folder, settings) for place, one in enumerate(doors)],
            patience_s=patience_s(settings),
            alarm=alarm,
            ended=lambda place: figures.retire(folder, str(place)),
        )
        return await supervisor.run(began=lambda: announce(doors[0].url))


def _doors(settings: Settings) -> list[Doors]:
    """Each worker's sockets."""
    count, admin = settings.server.workers, settings.server.admin_listen
    listening = partial(listening_sockets, count=count)
    data = listening(*parse_address(settings.server.listen, "server.listen"))
    admins = listening(*parse_address(admin, "server.admin_listen")) if admin else [None] * count
    return [Doors(*pair) for pair in zip(data, admins, strict=True)]


def _order(place: int, doors: Doors, folder: Path, settings: Settings) -> Order:
    handles = [door.fileno() for door in doors if door is not None]
    part = Part(place, handles[0], handles[1] if len(handles) > 1 else None, folder, settings)
    return Order((*_COMMAND, str(place)), part.line(), tuple(handles))


def _nothing_to_refresh() -> None:
    """A supervisor has no gauges."""


async def work(part: Part, *, began: Callable[[], None]) -> None:
    """Runs one of a node's gateways until SIGTERM or SIGINT; `began` is called when it takes calls."""
    settings = part.settings
    logs.configure(settings.log)
    running = Running(settings)
    await running.begin()
    shared = figures.Shared(part.folder, str(part.place), running.figures)
    doors = Doors(inherited(part.data), None if part.admin is None else inherited(part.admin))
    shared.begin()
    await answer(running, doors, began=began, exposition=shared.exposition)
    await asyncio.get_running_loop().run_in_executor(None, shared.end)
