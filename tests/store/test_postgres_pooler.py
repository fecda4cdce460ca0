"""Through a pooler that gives each transaction another server connection: nothing is kept on a connection, and nothing of others' is used.

There are fewer server connections than clients, and no prepared statements outlive a transaction (`max_prepared_statements = 0`).
"""

import asyncio
from collections.abc import AsyncIterator

import pytest

from farebox.ledger.commands import Authorized, Command, GrantMoney, SetBudgets
from farebox.store.database import Alarm
from farebox.store.opening import connect
from farebox.store.postgres import PostgresStore
from farebox.store.sweeper import Sweeper
from farebox.store.verify import verify
from store.street import Bustle, Street, cap, family, held
from store.till import admitted, capture, hold, settled
from support.homes import PostgresHome
from support.pooler import Pooler, program

pytestmark = pytest.mark.skipif(program() is None, reason="PgBouncer is not installed")


class PooledHome(PostgresHome):
    """A database behind a pooler with two connections."""

    def __init__(self) -> None:
        super().__init__()
        self.pooler = Pooler(self.place, 2)

    def open(self, alarm: Alarm) -> PostgresStore:
        return PostgresStore(self.pooler.url, alarm=alarm)

    def close(self) -> None:
        self.pooler.close()
        super().close()


@pytest.fixture
async def street() -> AsyncIterator[Street]:
    """Four writers on two connections of the server."""
    home = PooledHome()
    street = Street(home)
    await street.begin()
    yield street
    street.end()
    home.close()


async def test_many_processes_share_one_balance_through_a_pooler(street: Street) -> None:
    """Locks last as long as their transaction, which is on one connection."""
    await street.tills[0].topup(500)
    gate = street.gate()
    outcomes = await street.at_once(hold(gate, f"h{number}", 75) for number in range(20))
    assert admitted(outcomes) == 6
    assert settled(await street.at_once(capture(name, 75) for name in reversed(held(outcomes)))) == 6
    assert street.tills[0].wallet() == (500, 450, 0)


async def test_a_cap_above_two_wallets_holds_through_a_pooler(street: Street) -> None:
    """Changes by any writer, too."""
    await family(street, 10_000)
    await street.one(SetBudgets("cap", "acc", (cap("acc", 1000, "rolling:1h"),)))
    gates = [street.gate("key_red"), street.gate("key_blue")]
    outcomes = await street.at_once(hold(gates[number % 2], f"h{number}", 90) for number in range(60))
    assert admitted(outcomes) == 11
    assert admitted(await street.same(GrantMoney("same", "grt_same", "acc", 10))) == 0
    assert street.home.rows("SELECT amount FROM grants WHERE id = 'grt_same'") == [(10,)]


async def test_anything_may_be_asked_through_a_pooler(street: Street) -> None:
    """Writers, readers and the sweeper, all at once: nobody gets the answer to another's question."""
    bustle = await Bustle(street, 3).begin()
    home = street.home
    assert isinstance(home, PooledHome)
    url, over = home.pooler.url, asyncio.Event()
    names = ("acc", "red", "blue")

    def read() -> None:
        reader = connect(url)
        for _ in range(60):
            for name in names:
                assert reader.one("read_account", name)[0] == name
            for name in Bustle.KEYS:
                assert reader.one("read_key", name)[0] == name
            assert reader.one("read_book_version")[0] >= 1
        reader.close()

    async def sweep() -> None:
        sweeper = Sweeper(
            url, street.tills[0].batcher, owner="proc_1", clock=home.clock, alarm=lambda *_, **__: None, replay_kept_s=24 * 3600
        )
        while not over.is_set():
            await sweeper.sweep()
        sweeper.close()

    async def calls() -> None:
        await bustle.run(250, 10)
        over.set()

    await asyncio.gather(calls(), sweep(), *(asyncio.to_thread(read) for _ in range(3)))
    verdict = await asyncio.to_thread(verify, url)
    assert verdict.ok, verdict.findings


async def test_a_store_opens_through_a_pooler_on_an_empty_database(street: Street) -> None:
    """Its schema too: one transaction, under a lock that ends with it."""
    home = street.home
    assert isinstance(home, PooledHome)
    commands: list[Command] = [hold(street.gate(), f"h{number}", 1) for number in range(3)]
    await street.tills[0].topup(10)
    store = PostgresStore(home.pooler.url, alarm=lambda *_, **__: None)
    answers = await asyncio.to_thread(store.decide, [(command,) for command in commands])
    assert all(isinstance(answer, tuple) and isinstance(answer[0], Authorized) for answer in answers)
    await asyncio.to_thread(store.close)
