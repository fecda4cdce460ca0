"""What a new counter would have counted: the same as going through every charge, without going through every charge."""

import random
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import asyncpg
import pytest

from farebox.clock import US_PER_DAY, US_PER_HOUR, US_PER_MINUTE, US_PER_MS
from farebox.ids import first_id
from farebox.ledger import windows
from farebox.ledger.commands import Command, Done, EditKey, SetBudgets
from farebox.ledger.model import Amounts, Budget, Counter, Filter, Key
from farebox.ledger.plan import applies
from farebox.ledger.state import History, State
from farebox.store import histories
from farebox.store.database import Database
from farebox.store.loading import Loader
from farebox.store.opening import connect
from farebox.store.statements import statements
from farebox.store.verify import verify
from ledger.desk import START, Desk
from support.homes import SqliteHome
from support.postgres import give_back, migrated_database

KEYS = {"key_a": ("acc", "x"), "key_b": ("team", "y"), "key_c": ("lab", "x"), "key_d": ("other", "x")}
PARENTS = {"team": "acc", "lab": "team"}
MODELS = ("openai/gpt-4o", "openai/o3", "anthropic/claude-opus")
SCOPES = ("acc", "team", "lab", "other", *KEYS)
WINDOWS = (
    *windows.CALENDAR,
    "lifetime",
    "rolling:1m",
    "rolling:59m",
    "rolling:1h",
    "rolling:24h",
    "rolling:60h",
    "rolling:7d",
    "rolling:30d",
)
ZONES = ("UTC", "Asia/Kolkata", "America/New_York", "Australia/Lord_Howe")
FILTERS = (
    Filter(),
    Filter(models=("gpt-4o",)),
    Filter(models=("anthropic/*", "o3")),
    Filter(tags=(("team", "x"),)),
    Filter(("openai/*",), (("team", "y"),)),
    Filter(run="r1"),
)


class Trade:
    """Anything that can happen to a hold, over weeks."""

    def __init__(self, desk: Desk, seed: int) -> None:
        self.desk, self.chance = desk, random.Random(seed)
        self.open: list[str] = []
        self.lost: list[str] = []
        self.charged: list[str] = []
        self.numbers = 0
        desk.play("""
            account team parent=acc wallet=parent
            account lab parent=team
            account other
            topup acc 9000
            topup lab 1000000
            topup other 1000000""")
        for key, (account, team) in KEYS.items():
            desk.play(f"key {key} account={account} tag=team:{team}")

    def go_on(self, steps: int) -> None:
        kinds: tuple[Callable[[], None], ...] = (self.hold, self.hold, self.event, self.end, self.end, self.late, self.refund)
        pace = self.chance.choice((US_PER_MINUTE, 20 * US_PER_MINUTE, 12 * US_PER_HOUR))
        for _ in range(steps):
            self.desk.now += int(pace * self.chance.random())
            self.chance.choice(kinds)()

    def name(self, at: int) -> str:
        """An id as old as its request; sometimes of a clock that is ahead, sometimes one that tells no time."""
        self.numbers += 1
        if self.chance.random() < 0.1:
            return f"{self.chance.choice(('h', 'hold_', 'hold_0000'))}{self.numbers}"
        at += int(self.chance.choice((0, 4 * US_PER_MINUTE, -US_PER_MINUTE, -15 * US_PER_MINUTE)))
        return f"{first_id('hold', at // US_PER_MS)[:-8]}{self.numbers:08d}"

    def call(self) -> str:
        return f"key={self.chance.choice(list(KEYS))} model={self.chance.choice(MODELS)} run={self.chance.choice(('', 'r1'))}"

    def hold(self) -> None:
        name = self.name(self.desk.now)
        if self.desk.say(f"hold {name} {self.chance.randrange(300)} {self.call()}").startswith("held"):
            self.open.append(name)

    def event(self) -> None:
        ago = self.chance.randrange(self.chance.choice((US_PER_HOUR, 30 * US_PER_DAY)))
        name = self.name(self.desk.now - ago)
        if self.desk.say(f"event {name} {self.chance.randrange(300)} at=-{ago}us short=write_off {self.call()}").startswith("recorded"):
            self.charged.append(name)

    def end(self) -> None:
        if not self.open:
            return
        name = self.open.pop(self.chance.randrange(len(self.open)))
        kind = self.chance.random()
        if kind < 0.3:
            self.lost.append(name)
            self.desk.play(f"expire {name}")
        elif kind < 0.5:
            self.desk.play(f"release {name}")
        else:
            self.charged.append(name)
            self.desk.play(
                f"capture {name} {self.chance.randrange(400)} cost={self.chance.randrange(200)} tokens={self.chance.randrange(50)}"
            )

    def late(self) -> None:
        """The truth about a hold that was lost."""
        if self.lost and self.chance.random() < 0.5:
            name = self.lost.pop(self.chance.randrange(len(self.lost)))
            self.desk.say(self.chance.choice((f"capture {name} {self.chance.randrange(400)}", f"release {name}")))

    def refund(self) -> None:
        for name in self.chance.sample(self.charged, min(1, len(self.charged))):
            self.desk.say(f"refund {name} {self.chance.randrange(1, 20)}")

    def counter(self) -> Counter:
        window = self.chance.choice(WINDOWS)
        zone = "UTC" if window.startswith("rolling") else self.chance.choice(ZONES)
        return Counter(self.chance.choice(SCOPES), window, zone, self.chance.choice(FILTERS))


def counted_one_by_one(desk: Desk, counter: Counter) -> History:
    """From every hold and every charge that there is."""
    rolling = counter.window.startswith("rolling")
    since = windows.ring_start(counter.window, desk.now) if rolling else windows.start_of(counter.window, counter.timezone, desk.now)
    spent: defaultdict[int, Amounts] = defaultdict(Amounts)
    holds = []
    for hold_id, key, provider, model, run, at, state, price, cost, tokens, outcome, revised in desk.rows(
        "SELECT h.id, h.key, h.provider, h.model, h.run, h.created_at, h.state, c.price, c.cost, c.tokens, c.outcome, c.revised "
        "FROM holds AS h LEFT JOIN charges AS c ON c.hold_id = h.id ORDER BY h.id"
    ):
        account, team = KEYS[key]
        above = [key, account, PARENTS.get(account), PARENTS.get(PARENTS.get(account, ""))]
        asked = Key(key, account, "", "", "", 0, tags={"team": team})
        if counter.scope not in above or not applies(counter, asked, f"{provider}/{model}", run):
            continue
        start = windows.start_of(counter.window, counter.timezone, at)
        if state == "open" or (state == "expired" and not revised):
            holds.append((hold_id, start))
        elif at >= since:
            spent[start] += Amounts(price, cost, tokens, 0 if outcome == "released" else 1)
    return History({start: sums for start, sums in spent.items() if sums != Amounts()}, tuple(holds))


@pytest.mark.parametrize("seed", [1, 2])
def test_a_history_is_that_of_counting_every_charge(desk: Desk, seed: int) -> None:
    """Whatever the scope, window, time zone and filter, whatever became of the holds, and whatever their ids say."""
    trade = Trade(desk, seed)
    loader = Loader(connect(desk.home.place))
    seen: set[str] = set()
    states: set[str] = set()
    for _ in range(7):
        trade.go_on(40)
        states |= {row[0] for row in desk.rows("SELECT state FROM holds UNION SELECT 'revised' FROM charges WHERE revised = 1")}
        for _ in range(36):
            counter = trade.counter()
            found = loader._history(State(), counter, desk.now)
            assert found == counted_one_by_one(desk, counter), (counter.id, desk.now)
            seen.update(counter.window for _ in found.spent)
    assert len(seen) >= len(WINDOWS) // 2
    assert states == {"open", "captured", "released", "expired", "revised"}
    loader._db.close()
    budgets = tuple(Budget(Counter("acc", window), 10**15) for window in ("rolling:24h", "rolling:7d", "lifetime", "year"))
    assert isinstance(desk.one(SetBudgets("set", "acc", budgets)), Done)
    trade.go_on(40)


# --- what it costs -----------------------------------------------------------------------------------------------------------------------

LONG_AGO = START - 40 * US_PER_DAY
_LIKE = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) INSERT INTO {0} SELECT {1} FROM {0}, n WHERE {2} = ?"


def _multiply(desk: Desk, number: int) -> None:
    """As if the desk's one hold had been made so often, long ago."""
    for table, key in (("holds", "id"), ("charges", "hold_id")):
        columns = [row[0] for row in desk.rows(f"SELECT name FROM pragma_table_info('{table}')")]
        ids = f"'{first_id('hold', LONG_AGO // US_PER_MS)[:-8]}' || printf('%08d', i)"
        told = {key: ids, "created_at": str(LONG_AGO)}
        desk.home.write(_LIKE.format(table, ", ".join(told.get(name, name) for name in columns), key), number, "one")


EDITS: tuple[Command, ...] = (
    EditKey("e1", "key", {"status": "paused"}),
    EditKey("e2", "key", {"status": "active", "name": "other"}),
    EditKey("e3", "key", {"requests_per_minute": 5}),
    EditKey("e4", "key", {"limit_reset": "quarter"}, 10**12),
    SetBudgets("b1", "acc", (Budget(Counter("acc", "lifetime"), 10**12),)),
    SetBudgets("b2", "acc", (Budget(Counter("acc", "lifetime", filter=Filter(("gpt-4o",))), 10**12),)),
    SetBudgets("b3", "acc", (Budget(Counter("acc", "month", "Asia/Kolkata"), 10**12),)),
    SetBudgets("b4", "acc", (Budget(Counter("acc", "rolling:24h"), 10**12), Budget(Counter("acc", "rolling:30d"), 10**12))),
)


def _steps(folder: Path, number: int) -> list[int]:
    """How much SQLite does for each edit beside so many charges."""
    folder.mkdir()
    desk = Desk(SqliteHome(folder / "farebox.db"))
    desk.play("account acc\nkey key account=acc\nbook 1\ntopup acc 100000\nhold one 10\ncapture one 7")
    _multiply(desk, number)
    desk.reopen()
    steps: list[int] = []
    count = lambda event: steps.append(event["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"])  # noqa: E731 - one line for one number
    desk.store._db.trace_v2(apsw.SQLITE_TRACE_PROFILE, count)  # type: ignore[attr-defined]  # SQLite's own figures
    found = []
    for edit in EDITS:
        steps.clear()
        assert isinstance(desk.one(edit), Done)
        found.append(sum(steps))
    desk.close()
    return found


def test_an_edit_costs_the_same_beside_20_000_charges_as_beside_10(tmp_path: Path) -> None:
    """Counted in the steps of SQLite's own machine."""
    few, many = _steps(tmp_path / "few", 10), _steps(tmp_path / "many", 20_000)
    assert all(steps > 50 for steps in few)
    assert [steps for steps, least in zip(many, few, strict=True) if steps > least * 1.1 + 20] == []


def test_who_pauses_a_key_reads_no_history(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor who resumes, renames or revokes it, or changes a cap that is there: a history is for a counter that is made."""
    asked: list[str] = []
    reading = histories.unfinished

    def watched(db: Database, counter: Counter) -> list[str]:
        asked.append(counter.id)
        return reading(db, counter)

    monkeypatch.setattr(histories, "unfinished", watched)
    desk.play("""
        edit key status=paused
        edit key status=active name=other
        edit key limit=100
        edit key limit=50 limit_reset=day
        edit key concurrent=3
        edit key models=nonsense | refused invalid_change
        edit none status=paused | refused unknown_key""")
    assert asked == []
    desk.play("edit key requests_per_minute=3\nedit key limit_reset=year")
    assert asked == ["key/rolling:1m", "key/year"]
    desk.play("edit key tokens_per_minute=3\nedit key limit=3\nedit key status=revoked")
    assert len(asked) == 2


# --- which way PostgreSQL goes -----------------------------------------------------------------------------------------------------------

_ASKED: dict[str, tuple[Any, ...]] = {
    "history_counted": ("acc", "lifetime", 0),
    "history_rolled": ("acc", LONG_AGO, 2**62),
    "history_charged": ("acc", histories._ranges([(START, START + US_PER_HOUR)], START), 2**62),
    "history_open": ("acc",),
    "forget_answers": ([10],),
}
_LARGE = ("holds", "charges", "usage_hours", "windows", "replays")
_MANY = (
    "INSERT INTO accounts SELECT 'acc' || n, 'acc', 'acc', 0, 'acc', '', '', NULL, 'active', '', 0, NULL, NULL, '{}', 1 FROM generate_series(1, 50) AS n",
    (
        "INSERT INTO keys SELECT 'key' || n, 'acc' || n % 50, 'acc', 'hash' || n, '', 0, '', 'active', '', 0, NULL, '[]', 'never', NULL, '', NULL, NULL, "
        "NULL, '{}', '{}', NULL, NULL, NULL, 1 FROM generate_series(1, 200) AS n"
    ),
    (
        "INSERT INTO holds SELECT 'hold_' || n, 'r', 1, 'key' || n % 200, 'acc', 'acc', 'acc', 0, 0, 0, 1, 0, '[]', '[]', 1, 0, 0, 'p', 'm', 'c', 'p', n, 0, "
        "'', '', '', '', CASE WHEN n % 10000 = 0 THEN 'expired' WHEN n % 10000 = 1 THEN 'open' ELSE 'captured' END, 0 FROM generate_series(1, 50000) AS n"
    ),
    (
        "INSERT INTO charges SELECT 'hold_' || n, 'r', 'key', 'acc', 'acc', 'acc', 0, 'ok', 'exact', 0, 0, 0, 0, 0, 7, '[]', 'p', 'm', '', 'c', '{}', '[]', "
        "'{}', '', 200, '', 0, 0 FROM generate_series(1, 50000) AS n"
    ),
    "INSERT INTO usage_hours SELECT n, 'x', 'acc', 'key' || n % 200, '', 'p', 'm', 'c', 1, 0, 0, 0, 0, 0, 0, 0, 0 FROM generate_series(1, 50000) AS n",
    "INSERT INTO windows (counter, start) SELECT 'key' || n % 200 || '/w' || n, 0 FROM generate_series(1, 50000) AS n",
    "INSERT INTO replays SELECT 'key', 'n' || n, '', '', n, 'done', CASE WHEN n > 49000 THEN 'x'::bytea END FROM generate_series(1, 50000) AS n",
)


async def _ways(connection: asyncpg.Connection) -> dict[str, str]:
    """How PostgreSQL would go about each, once for these values and once for any."""
    found = {}
    for name, values in _ASKED.items():
        for mode in ("force_custom_plan", "force_generic_plan"):
            await connection.execute(f"SET plan_cache_mode = {mode}")
            found[f"{name} {mode}"] = "\n".join(
                row[0] for row in await connection.fetch(f"EXPLAIN {statements('postgres')[name]}", *values)
            )
    return found


def _scanned(plan: str) -> list[str]:
    return [line for line in plan.splitlines() if any(f"Seq Scan on {table}" in line for table in _LARGE)]


async def test_postgres_goes_through_indexes_beside_many_charges() -> None:
    """Also where nothing forbids it to read whole tables; and when it decided so while they were empty, as a transaction tells it to."""
    url = migrated_database()
    connection = await asyncpg.connect(url)
    # Forgets what was measured: of a table that was measured while it was empty, any way costs the same.
    await connection.execute(f"TRUNCATE {', '.join(_LARGE)}")
    await connection.execute("SET enable_seqscan = off")
    ways = await _ways(connection)
    await connection.execute("RESET enable_seqscan")
    for sql in _MANY:
        await connection.execute(sql)
    await connection.execute("ANALYZE")
    ways |= {f"{name}, many": plan for name, plan in (await _ways(connection)).items()}
    await connection.close()
    give_back(url)
    assert {name: scanned for name, plan in ways.items() if (scanned := _scanned(plan))} == {}
    for name, plan in ways.items():
        if name.startswith("history_open"):
            assert "holds_open" in plan, plan
            assert "holds_expired" in plan, plan
        if name.startswith("forget_answers"):
            assert "replays_answered" in plan, plan
        assert "Merge Join" not in plan, f"{name}\n{plan}"


def test_old_answers_are_forgotten_some_at_a_time(desk: Desk) -> None:
    """The oldest first; what is not that old, or not done, is not touched."""
    for number in range(2500):
        desk.home.write("INSERT INTO replays VALUES ('key', ?, '', '', ?, 'done', ?)", f"n{number}", number, b"x")
    desk.home.write("INSERT INTO replays VALUES ('key', 'running', '', '', 1, 'running', NULL)")
    for left in (500, 100, 100):
        desk.store.write("forget_answers", [(2400,)])
        assert desk.rows("SELECT count(*), max(created_at) FROM replays WHERE answer IS NOT NULL") == [(left, 2499)]
    assert verify(desk.home.place).ok
