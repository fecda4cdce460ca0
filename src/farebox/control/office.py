"""What every route works with: reads on threads of their own, commands to the ledger with their refusals told, the price book.

Owns neither rules nor HTTP. A command line or a console can use it as the routes do. Reads never touch the ledger's thread nor an event
loop: each of a few threads has its own connection.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from farebox.control.context import Context
from farebox.control.problems import Problem, not_found, refused
from farebox.ledger.commands import AdminCommand, Conflict, Done, Refused
from farebox.ledger.model import Account, Key
from farebox.store.reading import Books
from farebox.store.reports import Reports

T = TypeVar("T")
_THREADS = 2


class Office:
    """One per control plane."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.importing = asyncio.Lock()
        """Only one import of prices at a time."""
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="farebox-reports")
        self._here = threading.local()
        self._opened: list[Reports] = []
        self._books: Books | None = None

    def close(self) -> None:
        """Waits for what is being read, and closes the connections."""
        self._threads.shutdown()
        while self._opened:
            self._opened.pop().close()

    async def work(self, work: Callable[[], T]) -> T:
        """Runs work that takes a while (a verify, an import) beside the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def read(self, question: Callable[[Reports], T]) -> T:
        """Asks in one snapshot. Raises CommandRefused when the answer takes too long."""
        return await self.work(lambda: self._ask(question))

    async def ask(self, question: Callable[[Reports], T]) -> T:
        """Asks something that takes care of its own snapshot."""
        return await self.work(lambda: question(self._reports()))

    def _ask(self, question: Callable[[Reports], T]) -> T:
        reports = self._reports()
        with reports.snapshot():
            return question(reports)

    def _reports(self) -> Reports:
        reports: Reports | None = getattr(self._here, "reports", None)
        if reports is None:
            reports = self._here.reports = Reports(self.context.store, self.context.clock)
            self._opened.append(reports)
        return reports

    async def do(self, command: AdminCommand) -> Done:
        """Gives a command to the ledger. Raises a Problem when it is refused, or its id was used before for something else."""
        outcome = await self.context.batcher.one(command)
        if isinstance(outcome, Done):
            return outcome
        if isinstance(outcome, Conflict):
            raise conflict()
        if isinstance(outcome, Refused):
            raise refused(outcome)
        raise Problem("internal", f"The ledger answered {type(outcome).__name__}.")

    async def books(self) -> Books:
        """The price book that counts."""
        version = await self.read(lambda reports: reports.book_version())
        if self._books is None or self._books.version != version:
            self._books = await self.ask(lambda reports: reports.books())
        return self._books

    # --- what a caller may see -----------------------------------------------------------------------------------------------------

    async def account(self, scope: str | None, account_id: str) -> Account:
        """An account within a scope. Raises a Problem, in the same words whether there is none or it is another's."""
        return await self.read(lambda reports: visible_account(reports, scope, account_id))

    async def key(self, scope: str | None, name: str) -> Key:
        """A key of an account within a scope, by id or hash. Raises a Problem."""
        return await self.read(lambda reports: visible_key(reports, scope, name))

    async def named_account(self, scope: str | None, field: str, account_id: str) -> Account:
        """An account that a body names."""
        found = await self.read(lambda reports: reports.account(account_id) if reports.within(account_id, scope) else None)
        if found is None:
            raise Problem(
                "unknown_account", f"{field}: there is no account {account_id!r}.", errors=[{"field": field, "problem": "unknown"}]
            )
        return found


def visible_account(reports: Reports, scope: str | None, account_id: str) -> Account:
    found = reports.account(account_id)
    if found is None or not reports.within(account_id, scope):
        raise not_found("account", account_id)
    return found


def visible_key(reports: Reports, scope: str | None, name: str) -> Key:
    found = reports.key(name)
    if found is None or not reports.within(found.account, scope):
        raise not_found("key", name)
    return found


def conflict() -> Problem:
    return Problem("id_conflict", "This Idempotency-Key was used before with other content; nothing was done. Use a new one.")
