"""What is wrong with a command, what with the installation, and who lost a lease: on PostgreSQL, where others can be in the way."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from farebox.clock import US_PER_HOUR
from farebox.errors import CommandRefused, LedgerUnavailable, StoreError
from farebox.ledger.commands import Authorized, Settled
from farebox.pricing.rows import ModelRow, PriceRow
from farebox.store.postgres import PostgresStore
from farebox.store.pricebook import publish, publishing
from farebox.store.reading import Reader
from store.street import Street
from store.till import capture, hold
from support.homes import PostgresHome

MODEL = ModelRow("openai", "gpt-4o", (), 1000, 100, "chat")
BROKEN_ROW = """CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN IF NEW.hold_id = 'bad' THEN RAISE 'a page is broken' USING ERRCODE = 'XX001'; END IF; RETURN NEW; END $$"""


@pytest.fixture
async def street() -> AsyncIterator[Street]:
    home = PostgresHome()
    street = Street(home, writers=2)
    await street.begin()
    await street.tills[0].topup(1000)
    yield street
    for till in street.tills:
        till.alarms.clear()
    street.end()
    home.close()


def price(pico: int) -> PriceRow:
    return PriceRow("openai", "gpt-4o", "in_text", 0, "", "", "", 0, pico, 0, None, "test", 1)


def prices(street: Street) -> list[int]:
    reader = Reader(street.home.place)
    try:
        return [row.pico for row in reader.books().listed.prices()]
    finally:
        reader.close()


async def test_who_lost_the_lease_changes_nothing_of_what_another_published(street: Street) -> None:
    """A process that slept through its lease while another published is refused whole: no row of its own, none of the other's gone."""
    slow, quick = (till.batcher for till in street.tills)
    reader = Reader(street.home.place)
    old = reader.books()
    async with publishing(slow) as late:
        street.home.write("UPDATE leases SET until = 0")
        async with publishing(quick) as owner:
            await publish(quick, owner, old, [MODEL], [price(2_500_000)])
        with pytest.raises(CommandRefused, match="publishing"):
            await publish(slow, late, old, [MODEL], [price(25)])
    assert prices(street) == [2_500_000]
    async with publishing(slow) as again:
        with pytest.raises(CommandRefused, match="could not be published"):
            await publish(slow, again, old, [MODEL], [price(25)])
    assert prices(street) == [2_500_000]
    reader.close()


async def test_a_schema_that_is_not_there_for_a_while_is_an_outage(street: Street) -> None:
    """A restore, another role: nothing is wrong with the charge, and it is booked afterwards."""
    batcher = street.tills[0].batcher
    await street.one(hold(street.gate(), "a", 5))
    street.home.write("ALTER TABLE charges RENAME TO elsewhere")
    answer = await batcher.post(capture("a", 5))
    assert isinstance(answer, LedgerUnavailable)
    street.home.write("ALTER TABLE elsewhere RENAME TO charges")
    answer = await batcher.post(capture("a", 5))
    assert isinstance(answer, tuple)


async def test_an_error_that_nobody_foresaw_fails_one_entry_and_is_no_outage(street: Street) -> None:
    """Tried again for ever it would stop the process."""
    batcher = street.tills[0].batcher
    for name in ("good", "bad"):
        await street.one(hold(street.gate(), name, 5))
    street.home.write(BROKEN_ROW)
    street.home.write("CREATE TRIGGER broken BEFORE INSERT ON charges FOR EACH ROW EXECUTE FUNCTION broken()")
    good, bad = await asyncio.gather(batcher.post(capture("good", 5)), batcher.post(capture("bad", 5)))
    assert isinstance(good, tuple)
    assert isinstance(bad, StoreError)
    street.home.write("DROP TRIGGER broken ON charges")


async def test_a_window_that_nobody_foresaw_is_made_and_locked_in_the_next_try(street: Street) -> None:
    """What a process takes the time to be only says what is locked first: the database's own decides."""
    till = street.tills[0]
    assert isinstance(await till.hold("first", 10), Authorized)
    store = till.store
    assert isinstance(store, PostgresStore)
    seen, at = store._seen
    store._seen = (seen - 40 * 24 * US_PER_HOUR, at)
    assert isinstance(await till.hold("second", 10), Authorized)
    assert isinstance(await till.capture("first", 5), Settled)
    starts = street.home.rows("SELECT count(*) FROM windows WHERE counter = 'key/month' AND requests_held > 0")
    assert starts == [(1,)]
    assert till.alarms == []
