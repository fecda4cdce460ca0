"""How a PostgreSQL store is opened: its schema is made once, by one process, while others work; and what is wrong is said in one line."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from farebox.errors import SettingsError
from farebox.ledger.commands import Authorized, OpenAccount
from farebox.store import migrate
from farebox.store.postgres import PostgresStore
from farebox.store.statements import migrations
from store.street import Street
from store.till import hold
from support.homes import PostgresHome
from support.postgres import fresh_database, wait

BEYOND = 1 + len(migrations("postgres"))


def opened(url: str) -> PostgresStore:
    return PostgresStore(url, alarm=lambda *_, **__: None)


async def _fetch(url: str, sql: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url)
    found = await connection.fetch(sql)
    await connection.close()
    return list(found)


def test_many_processes_may_open_an_empty_database_at_once() -> None:
    """One of them makes the schema; the others wait and find it."""
    url = fresh_database()
    with ThreadPoolExecutor(8) as threads:
        stores = list(threads.map(opened, [url] * 8))
        answers = [threads.submit(store.decide, [(OpenAccount("one", "acc", own_wallet=True),)]).result()[0] for store in stores]
        assert all(isinstance(answer, tuple) for answer in answers)
        list(threads.map(PostgresStore.close, stores))
    numbers = [row[0] for row in wait(_fetch(url, "SELECT number FROM migrations ORDER BY number"))]
    assert numbers == [number for number, _, _ in migrations("postgres")]


async def test_a_schema_may_change_while_others_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """An altered table waits for who uses it, and who uses it waits for that: no call fails."""
    home = PostgresHome()
    street = Street(home, 2)
    await street.begin()
    await street.tills[0].topup(100_000)
    gate, over = street.gate(), asyncio.Event()
    number = max(number for number, _, _ in migrations("postgres")) + 1
    change = (number, f"{number:04}_more.sql", "ALTER TABLE holds ADD COLUMN more bigint; ALTER TABLE charges ADD COLUMN more bigint")

    async def calls(at: int) -> int:
        given = 0
        while not over.is_set():
            given += isinstance(await street.tills[at].batcher.one(hold(gate, f"h{at} {given}", 1)), Authorized)
        return given

    async def upgrade() -> None:
        with monkeypatch.context() as later:
            later.setattr(migrate, "migrations", lambda database: [*migrations(database), change])
            store = await asyncio.to_thread(opened, home.place)
        await asyncio.to_thread(store.close)
        over.set()

    first, second, _ = await asyncio.gather(calls(0), calls(1), upgrade())
    assert first
    assert second
    street.end()
    with pytest.raises(SettingsError, match=rf"newer version of farebox \(schema {number}\)"):
        opened(home.place)
    home.leave()  # its schema is of a version that nobody knows: no other test gets it


def test_a_change_that_fails_leaves_the_schema_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it is one transaction."""
    url = fresh_database()
    bad = (9000, "9000_bad.sql", "CREATE TABLE fine (a bigint); CREATE TABLE accounts (again bigint)")
    with monkeypatch.context() as later:
        later.setattr(migrate, "migrations", lambda database: [*migrations(database), bad])
        with pytest.raises(SettingsError, match="already exists"):
            opened(url)
    assert not wait(_fetch(url, "SELECT 1 FROM pg_tables WHERE schemaname = 'public'"))
    opened(url).close()


def test_an_edited_change_is_refused() -> None:
    """What was released is never edited."""
    url = fresh_database()
    opened(url).close()
    wait(_fetch(url, "UPDATE migrations SET checksum = 'other' WHERE number = 1"))
    with pytest.raises(SettingsError, match=r"schema change 0001_.* is not the one"):
        opened(url)


@pytest.mark.parametrize(
    "change",
    [
        {"netloc": "farebox:s3cr3t@127.0.0.1:1"},
        {"netloc": "farebox:s3cr3t@no-such-host.invalid"},
        {"path": "/no_such_database"},
        {"query": "password=s3cr3t&sslmode=require"},
        {"netloc": "nobody:s3cr3t@{place}"},
        {"netloc": "farebox:s3/cr3t@{place}"},
        {"netloc": "farebox:s3cr3t@127.0.0.1:port"},
        {"scheme": "mysql", "netloc": "farebox:s3cr3t@{place}"},
    ],
    ids=["nothing there", "no host", "no database", "no tls", "no role", "an unquoted password", "no port", "another scheme"],
)
def test_what_cannot_be_opened_is_said_in_one_line_without_the_password(change: dict[str, str]) -> None:
    """Whatever part of the URL is wrong."""
    parts = urlsplit(fresh_database())
    place = parts.netloc.rpartition("@")[2]
    url = urlunsplit(parts._replace(**{name: value.format(place=place) for name, value in change.items()}))
    with pytest.raises(SettingsError) as problem:
        opened(url)
    said = str(problem.value)
    assert "cannot be opened" in said
    assert "\n" not in said
    assert "cr3t" not in said
    assert "s3" not in said
