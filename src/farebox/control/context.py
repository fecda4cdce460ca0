"""What the control plane is given by the composition root: the ledger to command, a file to read, and the gateway's own figures."""

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from farebox.clock import Clock
from farebox.gateway.quote import Quoter
from farebox.providers.catalogue import Catalogue
from farebox.settings import Settings
from farebox.store.batcher import Batcher


class Context(msgspec.Struct, frozen=True):
    """Handed to `control.app.create`. `figures` refreshes the gauges before they are shown; `ready` says why the gateway is not, or ""."""

    settings: Settings
    store: Path
    batcher: Batcher
    catalogue: Catalogue
    quoter: Quoter
    clock: Clock
    figures: Callable[[], Mapping[str, float]]
    ready: Callable[[], str]
