"""Reading for an event loop: a file is read at once (microseconds), a server by a thread, so that nothing else waits for the network."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from farebox.store.database import Place

T = TypeVar("T")


class Apart:
    """One connection's reads, one at a time."""

    def __init__(self, place: Place, name: str) -> None:
        self._thread = None if isinstance(place, Path) else ThreadPoolExecutor(1, name)

    async def read(self, work: Callable[[], T]) -> T:
        """What a piece of reading gives. Raises what it raises."""
        if self._thread is None:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def close(self) -> None:
        """Waits for the last one."""
        if self._thread is not None:
            self._thread.shutdown()
