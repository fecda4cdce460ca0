"""Calls that need the same look-up at the same moment share one: behind a slow wire to the database they would wait for each other in a row."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from farebox.errors import InvalidKey
from farebox.gateway.sharing import Shared
from support.house import House, until


class Desk:
    """Where something is read: how often, and not before it is let."""

    def __init__(self) -> None:
        self.begun = 0
        self.value = "old"
        self.may_end = asyncio.Event()

    async def read(self) -> str:
        self.begun += 1
        found = self.value
        await self.may_end.wait()
        if not found:
            raise InvalidKey
        return found


async def test_who_asks_meanwhile_gets_the_reading_that_is_under_way() -> None:
    """A hundred ask, one is read; the next one who asks reads again."""
    desk, shared = Desk(), Shared[str]()
    asking = [asyncio.ensure_future(shared.read("key", desk.read)) for _ in range(100)]
    await asyncio.sleep(0)
    desk.may_end.set()
    assert set(await asyncio.gather(*asking)) == {"old"}
    assert desk.begun == 1
    await shared.read("key", desk.read)
    assert desk.begun == 2


async def test_what_is_read_anew_began_after_it_was_asked_for() -> None:
    """Something changed while it was being read: who must know of that does not get the reading that was under way."""
    desk, shared = Desk(), Shared[str]()
    early = asyncio.ensure_future(shared.read("key", desk.read))
    await until(lambda: desk.begun)
    desk.value = "new"
    late = [asyncio.ensure_future(shared.read_anew("key", desk.read)) for _ in range(100)]
    await asyncio.sleep(0)
    desk.may_end.set()
    assert await early == "old"
    assert set(await asyncio.gather(*late)) == {"new"}
    assert desk.begun == 2


async def test_a_failure_is_everybodys_and_one_who_leaves_is_nobodys() -> None:
    """Who is cancelled takes nothing from the others."""
    desk, shared = Desk(), Shared[str]()
    desk.value = ""
    asking = [asyncio.ensure_future(shared.read("key", desk.read)) for _ in range(3)]
    await asyncio.sleep(0)
    asking[0].cancel()
    desk.may_end.set()
    for task in asking[1:]:
        with pytest.raises(InvalidKey):
            await task
    assert desk.begun == 1


async def test_the_first_calls_of_a_key_are_one_look_up(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """And so are those that learn at the same moment that it was changed."""
    secret = await house.customer()
    lookup = house.running._lookup
    by_hash = lookup.policy_by_hash
    asked = come = 0

    async def once_all_have_come(key_hash: str) -> object:
        nonlocal asked
        asked += 1
        await until(lambda: come >= everybody)
        return await by_hash(key_hash)

    def noting(read: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def noted(shared: Shared[Any], name: str, reading: Callable[..., Any]) -> Any:
            nonlocal come
            come += bool(name)  # the price book has none
            return await read(shared, name, reading)

        return noted

    monkeypatch.setattr(lookup, "policy_by_hash", once_all_have_come)
    monkeypatch.setattr(Shared, "read", noting(Shared.read))
    monkeypatch.setattr(Shared, "read_anew", noting(Shared.read_anew))
    everybody = 20
    answers = await asyncio.gather(*(house.chat(secret, max_tokens=5) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert asked == 1
    await house.edit_key(secret, name="renamed")
    everybody = 40
    answers = await asyncio.gather(*(house.chat(secret, max_tokens=5) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert asked <= 3
