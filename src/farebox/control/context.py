"""What the control plane is given by the composition root: the ledger to command, a file to read, and the gateway's own figures."""

from collections.abc import Callable, Mapping

import msgspec

from farebox import metrics
from farebox.clock import Clock
from farebox.errors import LedgerUnavailable
from farebox.gateway.quote import Quoter
from farebox.ledger.commands import Authorize
from farebox.providers.catalogue import Catalogue
from farebox.settings import Settings
from farebox.store.batcher import Batcher
from farebox.store.database import Place


class Context(msgspec.Struct, frozen=True):
    """Handed to `control.app.create`. `figures` refreshes the gauges before they are shown; `ready` says why the gateway is not, or "";
    `exposition` is what `/metrics` shows; `unheard` is told of a hold that may have been made though nobody heard so, and gives it back;
    `away` says whether the ledger is.
    """

    settings: Settings
    store: Place
    batcher: Batcher
    catalogue: Catalogue
    quoter: Quoter
    clock: Clock
    figures: Callable[[], Mapping[str, float]]
    ready: Callable[[], str]
    exposition: Callable[[], bytes] = metrics.exposition
    unheard: Callable[[Authorize], None] = lambda _asked: None
    away: Callable[[], bool] = lambda: False

    def admit(self) -> None:
        """Raises LedgerUnavailable while the ledger is away, or what happened meanwhile is not booked yet: nothing new is held."""
        if self.away():
            raise LedgerUnavailable(problem="it is away, or what happened meanwhile is not booked yet")
