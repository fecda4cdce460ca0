"""One reading for all who ask for the same thing at the same time: a hundred first calls of a key are one look-up, not a hundred in a row."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Shared(Generic[T]):
    """Readings under way, by name. One that fails, fails for all who wait for it; one who leaves does not end it."""

    def __init__(self) -> None:
        self._under_way: dict[str, asyncio.Task[T]] = {}

    async def read(self, name: str, reading: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What the reading of this name gives that is under way, or one that begins now."""
        return await self._join(name, reading)

    async def read_anew(self, name: str, reading: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The same of one that has not begun yet: it sees all that was so when it was asked for."""
        under_way = self._under_way.get(name)
        if under_way is not None:
            await asyncio.wait([under_way])
        return await self._join(name, reading)

    def _join(self, name: str, reading: Callable[[], Coroutine[Any, Any, T]]) -> Awaitable[T]:
        task = self._under_way.get(name)
        if task is None:
            task = asyncio.ensure_future(reading())
            self._under_way[name] = task
            task.add_done_callback(lambda ended: self._ended(name, ended))
        return asyncio.shield(task)

    def _ended(self, name: str, ended: "asyncio.Task[T]") -> None:
        del self._under_way[name]
        if not ended.cancelled():
            ended.exception()  # everybody may have left
