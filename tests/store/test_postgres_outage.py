"""What becomes of commands when the database, or the way to it, is lost at any moment: one effect, one answer, and never a long wait."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from farebox.clock import wall_clock
from farebox.errors import FareboxError, LedgerUnavailable, StoreError
from farebox.ledger.commands import (
    Adjust,
    Authorized,
    Command,
    Done,
    EditKey,
    GrantMoney,
    Move,
    OpenAccount,
    Recorded,
    Refund,
    Refused,
    Release,
    SetBudgets,
    Settled,
)
from farebox.store import postgres
from farebox.store.database import Alarm
from farebox.store.opening import open_store
from farebox.store.verify import verify
from store.street import Street, cap, event
from store.till import Till, capture, hold
from support.cut import Cut, Wire
from support.homes import PostgresHome
from support.postgres import End, migrated_database, own_server


class FarHome(PostgresHome):
    """A database at the end of a wire; what the test itself looks at does not go through it."""

    def __init__(self) -> None:
        super().__init__()
        self.wire = Wire(self.place)

    def open(self, alarm: Alarm) -> postgres.PostgresStore:
        return postgres.PostgresStore(self.wire.url, alarm=alarm)

    def close(self) -> None:
        self.wire.close()
        super().close()


@pytest.fixture
def home() -> Iterator[FarHome]:
    """At the end of a wire."""
    home = FarHome()
    yield home
    home.close()


@pytest.fixture
async def funded(till: Till) -> AsyncIterator[Till]:
    """A till with 1000, of which 200 are held and 100 charged; nothing of what is cut off may be alarmed as a broken guarantee."""
    await till.topup(1000)
    await till.batcher.one(OpenAccount("c team", "team", own_wallet=True, parent="acc"))
    for name in ("a", "b", "c"):
        assert isinstance(await till.hold(name, 100), Authorized)
    await till.capture("c", 100)
    yield till
    assert "guarantee_violated" not in till.alarms


def wire(till: Till) -> Wire:
    assert isinstance(till.home, FarHome)
    return till.home.wire


def commands_of(till: Till) -> dict[str, Command]:
    return {
        "authorize": hold(till.gate, "new", 50),
        "capture": capture("a", 70),
        "overage": capture("a", 170),
        "release": Release("a"),
        "event": event(till.gate, "done", 30, wall_clock()),
        "topup": GrantMoney("g", "grt_g", "acc", 10),
        "adjust": Adjust("adj", "acc", -10),
        "move": Move("mov", "acc", "team", 10),
        "refund": Refund("ref", "c", 10),
        "budgets": SetBudgets("bud", "key", (cap("key", 5000),)),
        "edit": EditKey("edt", "key", {"name": "new"}),
        "open": OpenAccount("opn", "new", own_wallet=True),
    }


@pytest.mark.parametrize("where", ["before", "after"])
@pytest.mark.parametrize("name", ["authorize", "capture", "overage", "release", "event"])
async def test_a_call_whose_commit_is_cut_off_has_one_effect_and_one_answer(funded: Till, name: str, where: Cut) -> None:
    """Whether the server heard of the commit or not, the caller hears what is true; and hears it again if it asks again."""
    command = commands_of(funded)[name]
    wire(funded).cut(b"COMMIT", where)
    outcome = await funded.batcher.one(command)
    assert wire(funded).cuts == 1
    assert isinstance(outcome, Authorized | Settled | Recorded)
    assert outcome.repeated == (where == "after")
    again = await funded.batcher.one(command)
    assert isinstance(again, type(outcome))
    assert again.repeated


@pytest.mark.parametrize("where", ["before", "after"])
@pytest.mark.parametrize("name", ["topup", "adjust", "move", "refund", "budgets", "edit", "open"])
async def test_a_change_whose_commit_is_cut_off_has_one_effect_and_one_answer(funded: Till, name: str, where: Cut) -> None:
    """The same for what comes from outside: its id tells."""
    command = commands_of(funded)[name]
    wire(funded).cut(b"COMMIT", where)
    outcome = await funded.batcher.one(command)
    assert isinstance(outcome, Done)
    assert outcome.repeated == (where == "after")
    assert funded.home.rows("SELECT count(*) FROM commands WHERE id = ?", command.id) == [(1,)]  # type: ignore[union-attr]


@pytest.mark.parametrize("message", [b"BEGIN", b"lock_timeout", b"ROLLBACK"])
async def test_a_connection_that_is_lost_before_anything_was_done_is_made_again(funded: Till, message: bytes) -> None:
    """Nobody notices."""
    wire(funded).cut(message, "before")
    assert isinstance(await funded.hold("new", 50), Authorized)
    assert isinstance(await funded.hold("dear", 5000), Refused)
    assert funded.wallet() == (1000, 100, 250)


async def test_while_nothing_gets_through_callers_are_told_and_then_it_goes_on_by_itself(funded: Till) -> None:
    """All that asked in between hear it, none of it took effect, and the same ids may be asked again."""
    wire(funded).down()
    asked = await asyncio.gather(*(funded.hold(f"h{number}", 10) for number in range(20)), return_exceptions=True)
    assert all(isinstance(answer, LedgerUnavailable) for answer in asked)
    assert "ledger_unavailable" in funded.alarms
    wire(funded).up()
    outcome: object = None
    for _ in range(400):
        try:
            outcome = await funded.hold("h0", 10)
            break
        except LedgerUnavailable:
            await asyncio.sleep(0.01)
    assert isinstance(outcome, Authorized)
    assert funded.wallet() == (1000, 100, 210)


@pytest.mark.parametrize("where", ["before", "after"])
async def test_a_whole_batch_whose_commit_is_cut_off_is_answered_as_a_whole(funded: Till, where: Cut) -> None:
    """Each as it would have been: what was given up in the same batch was there for the others."""
    async with funded.busy():
        ended = [funded.batcher.post(Release(name)) for name in ("a", "b")]
        asked = [funded.batcher.post(hold(funded.gate, f"h{number}", 300)) for number in range(4)]
        wire(funded).cut(b"COMMIT", where)
    assert all([isinstance((await one)[0], Settled) for one in ended])
    assert sum([isinstance((await one)[0], Authorized) for one in asked]) == 3
    assert funded.wallet() == (1000, 100, 900)


# --- the server itself -------------------------------------------------------------------------------------------------------------------


class Promises:
    """What was answered, and a bell for each answer."""

    def __init__(self) -> None:
        self.promised: dict[str, str] = {}
        self._bell = asyncio.Event()

    def note(self, hold_id: str, state: str) -> None:
        self.promised[hold_id] = state
        self._bell.set()

    async def more(self, holds: int) -> None:
        """Waits until so many more were given."""
        many = len(self.promised) + holds
        while len(self.promised) < many:
            self._bell.clear()
            await self._bell.wait()


@pytest.mark.parametrize("how", ["immediate", "kill", "fast"])
async def test_whatever_was_answered_is_there_after_the_server_was_killed(how: End) -> None:
    """Twice, in the middle of what many callers ask: every answer stands, nothing is doubled, and it goes on by itself."""
    server = own_server()
    url = migrated_database()
    alarms: list[str] = []

    class Elsewhere(PostgresHome):
        def __init__(self) -> None:
            self.place = url

        def open(self, alarm: Alarm) -> postgres.PostgresStore:
            store = open_store(url, alarm=lambda name, **_: alarms.append(name))
            assert isinstance(store, postgres.PostgresStore)
            return store

    street = Street(Elsewhere(), 2)
    await street.begin()
    await street.tills[0].topup(1_000_000)
    gate, kept, over = street.gate(), Promises(), asyncio.Event()

    async def caller(till: Till, name: str) -> None:
        number = 0
        while not over.is_set():
            number += 1
            hold_id = f"{name} {number}"
            try:
                if isinstance(await till.batcher.one(hold(gate, hold_id, 10)), Authorized):
                    kept.note(hold_id, "open")
                    await till.batcher.one(capture(hold_id, 7))
                    kept.note(hold_id, "captured")
            except LedgerUnavailable:
                await asyncio.sleep(0.01)

    async def bounces() -> None:
        for _ in range(2):
            await kept.more(100)
            await asyncio.to_thread(server.bounce, how)
        await kept.more(100)
        over.set()

    await asyncio.gather(bounces(), *(caller(till, f"{at} {number}") for at, till in enumerate(street.tills) for number in range(8)))
    for till in street.tills:
        till.batcher.close()
    connection = await asyncpg.connect(url)
    states = {row[0]: row[1] for row in await connection.fetch("SELECT id, state FROM holds")}
    charges = {row[0]: row[1] for row in await connection.fetch("SELECT hold_id, price FROM charges")}
    await connection.close()
    assert {name for name, state in kept.promised.items() if states.get(name) not in (state, "captured")} == set()
    assert {name for name, state in kept.promised.items() if state == "captured"} <= charges.keys()
    assert set(charges.values()) == {7}
    verdict = await asyncio.to_thread(verify, url)
    assert verdict.ok, verdict.findings
    assert not {"guarantee_violated", "deadlock"} & set(alarms)


# --- what no server takes, and what it is kept from ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("poison", ["a\0b", "\ud800"])
async def test_a_text_that_no_column_takes_fails_its_entry_alone(funded: Till, poison: str) -> None:
    """It is no outage: it is not tried again, and its neighbours are served."""
    async with funded.busy():
        good = [funded.batcher.post(hold(funded.gate, f"h{number}", 10)) for number in range(3)]
        bad = [
            funded.batcher.post(hold(funded.gate, poison, 10)),
            funded.batcher.post(capture(poison, 10)),
            funded.batcher.post(EditKey("edit", "key", {"name": poison})),
        ]
    assert all([isinstance((await one)[0], Authorized) for one in good])
    assert all([isinstance(await one, StoreError) for one in bad])
    assert set(funded.alarms) == {"command_failed"}
    assert isinstance(await funded.capture("a", 10), Settled)


async def test_a_wallet_that_somebody_locks_for_long_is_an_answer_and_not_a_wait(funded: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the time a lock may take its callers are told; nothing is half done, and others' wallets are served afterwards."""
    monkeypatch.setattr(postgres, "_BEGIN", re.sub(r"lock_timeout = '\w+'", "lock_timeout = '200ms'", postgres._BEGIN))
    somebody = await asyncpg.connect(str(funded.home.place))
    await somebody.execute("BEGIN; SELECT * FROM accounts WHERE id = 'acc' FOR UPDATE")
    with pytest.raises(FareboxError, match="lock timeout"):
        await funded.hold("new", 10)
    with pytest.raises(FareboxError, match="lock timeout"):
        await funded.batcher.one(GrantMoney("g", "grt_g", "acc", 10))
    assert isinstance(await funded.batcher.one(GrantMoney("t", "grt_t", "team", 10)), Done)
    await somebody.execute("ROLLBACK")
    await somebody.close()
    assert isinstance(await funded.hold("new", 10), Authorized)
    assert funded.wallet() == (1010, 100, 210)
