"""Usage kept by the hour: the same answers as counting charge by charge, at a cost that does not grow with them."""

import json
import random
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from farebox.clock import US_PER_DAY, US_PER_HOUR, wall_clock
from farebox.ids import first_id
from farebox.ledger.bounds import Affine, Bound
from farebox.ledger.commands import (
    Authorize,
    Authorized,
    Capture,
    Command,
    Done,
    Expire,
    GrantMoney,
    IssueKey,
    OpenAccount,
    PublishBook,
    Recorded,
    RecordEvent,
    Refund,
    Release,
    Result,
    Settled,
)
from farebox.ledger.model import Key
from farebox.store import usage_reports
from farebox.store.database import Place
from farebox.store.migrate import migrate
from farebox.store.opening import open_store
from farebox.store.reports import Entry, Reports, Selection
from farebox.store.rollups import rounded
from farebox.store.usage_reports import Group, Question, usage
from farebox.store.verify import verify
from support.postgres import give_back, migrated_database

KEYS = {"key_a": "acc", "key_b": "acc", "key_c": "team"}
MODELS = ("gpt-4o", "claude-opus")
DAYS = 3


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Where an empty store is."""
    if request.param == "sqlite":
        yield tmp_path / "farebox.db"
        return
    url = migrated_database()
    yield url
    give_back(url)


class Shop:
    """A store in which anything happens, at any time of the last days."""

    def __init__(self, place: Place, seed: int) -> None:
        self.chance = random.Random(seed)
        self.alarms: list[str] = []
        self.store = open_store(place, alarm=lambda name, **_: self.alarms.append(name))
        self.reports = Reports(place, wall_clock)
        self.now = wall_clock()
        self.numbers = 0
        self.open: list[str] = []
        self.lost: list[str] = []
        self.charged: list[str] = []
        self.tell([OpenAccount("c1", "acc", own_wallet=True)], [OpenAccount("c2", "team", own_wallet=False, parent="acc")])
        keys: list[list[Command]] = [[IssueKey(f"c {name}", Key(name, account, "acc", name, "fb-…", 0))] for name, account in KEYS.items()]
        self.tell(*keys)
        self.tell([PublishBook("c3", 1)], [GrantMoney("c4", "grt", "acc", 400_000)])
        self.gates = {name: self.reports.policy(key).gate("openai/gpt-4o") for name in KEYS if (key := self.reports.key(name))}

    def tell(self, *entries: list[Command]) -> list[Any]:
        answers = self.store.decide([tuple(entry) for entry in entries])
        assert all(isinstance(answer, tuple) for answer in answers), answers
        return [outcome for answer in answers for outcome in answer]  # type: ignore[union-attr]  # checked above

    def close(self) -> None:
        self.reports.close()
        self.store.close()

    # --- what can happen -----------------------------------------------------------------------------------------------------

    def trade(self, steps: int) -> None:
        """Some of everything, in batches."""
        for _ in range(steps):
            kinds: tuple[Callable[[], Command | None], ...] = (self.event, self.event, self.hold, self.end, self.end, self.refund)
            wanted = [self.chance.choice(kinds)() for _ in range(self.chance.randrange(1, 12))]
            for outcome in self.tell(*[[one] for one in wanted if one is not None]):
                self.note(outcome)

    def note(self, outcome: object) -> None:
        if isinstance(outcome, Authorized):
            self.open.append(outcome.hold.id)
        elif isinstance(outcome, Settled):
            provisional = outcome.charge.outcome == "orphaned"
            (self.lost if provisional else self.charged).append(outcome.charge.hold_id)
        elif isinstance(outcome, Recorded):
            self.charged.append(outcome.charge_id)

    def number(self) -> int:
        self.numbers += 1
        return self.numbers

    def hold(self) -> Command:
        key = self.chance.choice(list(KEYS))
        name = f"{first_id('hold', self.now // 1000)[:-8]}{self.number():08d}"
        bound = Bound(Affine(5000), Affine(4000), Affine(100), 1, 1)
        user, run = self.chance.choice(("", "ann", "ben")), self.chance.choice(("", "r1"))
        return Authorize(
            name, f"req_{name}", 1, self.gates[key], bound, 0, 0, "openai", "gpt-4o", "chat", "p1", 2**50, run=run, user=user, tags="team=x"
        )

    def end(self) -> Command | None:
        """A hold's end; for one that was lost, the truth. What it cannot pay is written off."""
        held = self.open or self.lost
        if not held:
            return None
        name = held.pop(self.chance.randrange(len(held)))
        kind = self.chance.random()
        if kind < 0.2:
            return Release(name, "upstream_503", 503)
        return Expire(name) if kind < 0.5 else Capture(name, self.result())

    def event(self) -> Command:
        at = self.now - self.chance.randrange(DAYS * US_PER_DAY)
        name = f"{first_id('hold', at // 1000)[:-8]}{self.number():08d}"
        key, model = self.chance.choice(list(KEYS)), self.chance.choice(MODELS)
        gate, user = self.gates[key], self.chance.choice(("", "ann", 'b"en\n,ü'))
        return RecordEvent(
            name,
            name,
            name,
            f"req_{name}",
            gate,
            self.result(),
            at,
            "write_off",
            0,
            0,
            "own",
            model,
            "events",
            "p1",
            user=user,
            tags="team=y",
        )

    def refund(self) -> Command | None:
        name = self.chance.choice(self.charged or self.lost or [""])
        return Refund(f"refund {self.number()}", name, self.chance.choice((None, 1, 10))) if name else None

    def result(self) -> Result:
        units = {
            name: self.chance.randrange(1000) for name in ("in_text_uncached", "out_text", "render minute") if self.chance.random() < 0.7
        }
        first = 0 if self.chance.random() < 0.2 else int(self.chance.lognormvariate(11, 3))
        timings = {"received_at": self.now, "first_byte_us": first, "last_byte_us": first * 3}
        price, status = self.chance.randrange(9000), self.chance.choice((200, 500))
        usage_json = json.dumps({"units": units, "prompt_total": 1})
        return Result(
            "answered",
            "exact",
            price,
            price // 2,
            price // 3,
            sum(units.values()),
            usage=usage_json,
            timings=json.dumps(timings),
            status=status,
        )

    # --- what can be asked ---------------------------------------------------------------------------------------------------

    def question(self) -> Question:
        by = tuple(self.chance.sample(sorted(usage_reports.DIMENSIONS), self.chance.randrange(4)))
        begins, ends = sorted(self.now - self.chance.randrange(-US_PER_HOUR, DAYS * US_PER_DAY) for _ in range(2))
        if self.chance.random() < 0.5:
            begins, ends = begins - begins % US_PER_HOUR, ends - ends % US_PER_HOUR + US_PER_HOUR
        filters = {"scope": ("acc", "team"), "account": ("acc", "team", "nobody"), "key": ("key_a", "key_c")}
        chosen = {name: self.chance.choice(values) for name, values in filters.items() if self.chance.random() < 0.2}
        return Question(begins, ends + 1, by, **chosen)


@pytest.fixture
def shop(place: Place) -> Iterator[Shop]:
    made = Shop(place, 7)
    yield made
    made.close()
    assert not made.alarms
    verdict = verify(place)
    assert verdict.ok, verdict.findings


# --- the obvious way of counting ---------------------------------------------------------------------------------------------------------

VALUES: dict[str, Callable[[Entry], str | int]] = {
    "key": lambda one: one.charge.key,
    "account": lambda one: one.charge.account,
    "user": lambda one: one.hold.user,
    "model": lambda one: f"{one.charge.provider}/{one.charge.model}",
    "provider": lambda one: one.charge.provider,
    "route": lambda one: one.charge.route,
    "status": lambda one: one.charge.status,
    "run": lambda one: one.hold.run,
    "hour": lambda one: one.hold.created_at // US_PER_HOUR * US_PER_HOUR,
    "day": lambda one: one.hold.created_at // US_PER_DAY * US_PER_DAY,
}


def counted(entries: list[Entry], asked: Question) -> dict[tuple[str | int, ...], list[Entry]]:
    """The charges that a question is about, by group."""
    groups: dict[tuple[str | int, ...], list[Entry]] = defaultdict(list)
    for one in entries:
        inside = {"acc": ("acc", "team"), "team": ("team",), None: ("acc", "team")}
        if (
            asked.begins <= one.hold.created_at < asked.ends
            and asked.key in (None, one.charge.key)
            and all(one.charge.account in inside.get(of, ()) for of in (asked.scope, asked.account))
        ):
            groups[tuple(VALUES[name](one) for name in asked.by)].append(one)
    return groups


def agree(group: Group, entries: list[Entry]) -> None:
    charges = [one.charge for one in entries]
    released = sum(charge.outcome == "released" for charge in charges)
    assert (group.released, group.calls) == (released, len(charges) - released)
    for name in ("price", "paid", "written_off", "cost", "list_cost", "refunded", "tokens"):
        assert getattr(group, name) == sum(getattr(charge, name) for charge in charges), name
    units: Counter[str] = Counter()
    for charge in charges:
        units.update(json.loads(charge.usage).get("units", {}))
    assert group.units == {name: quantity for name, quantity in units.items() if quantity}
    for times, name in ((group.first_byte, "first_byte_us"), (group.total, "last_byte_us")):
        took = sorted(us for charge in charges if (us := json.loads(charge.timings).get(name, 0)) > 0)
        assert (times.p50, times.p95) == (
            (rounded(took[(len(took) - 1) // 2]), rounded(took[-(-len(took) * 95 // 100) - 1])) if took else (None, None)
        )


def test_answers_are_those_of_counting_charge_by_charge(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """By whatever, of whatever, whole hours or not, from hours or from charges: the same, and times to 5 %."""
    shop.trade(60)
    entries = shop.reports.charges(Selection(), 10**6)
    assert {one.charge.outcome for one in entries} >= {"answered", "released"}
    assert any(one.charge.revised for one in entries)
    assert any(one.charge.refunded for one in entries)
    assert any(one.charge.written_off for one in entries)
    for _ in range(80):
        asked = shop.question()
        found = usage(shop.reports, asked, 10**6, 0)
        expected = counted(entries, asked)
        assert [group.by for group in found] == sorted(expected)
        for group in found:
            agree(group, expected[group.by])
        with monkeypatch.context() as patched:
            patched.setattr(usage_reports, "ROLLED", ())
            assert usage(shop.reports, asked, 10**6, 0) == found
        assert [group for at in range(0, len(found), 3) for group in usage(shop.reports, asked, 3, at)] == found


def test_a_tag_is_found_whatever_the_hours_know(shop: Shop) -> None:
    """Tags are counted charge by charge."""
    shop.trade(10)
    total = usage(shop.reports, Question(0, 2**60), 10, 0)[0]
    by_tag = usage(shop.reports, Question(0, 2**60, ("tag:team", "provider")), 10, 0)
    assert [group.by for group in by_tag] == [("x", "openai"), ("y", "own")]
    assert sum(group.price for group in by_tag) == total.price


def test_times_are_rounded_by_at_most_five_percent_and_by_sql_as_by_us(tmp_path: Path) -> None:
    """Two digits, of which few occur."""
    db = apsw.Connection(str(tmp_path / "times.db"))
    db.execute("PRAGMA foreign_keys = 0")
    migrate(db, "sqlite", lambda: 0)
    chance = random.Random(5)
    asked = {*range(1, 3000), *(chance.randrange(1, 10 ** chance.randrange(2, 14)) for _ in range(3000))}
    _fill(db, [(us, us * 2) for us in sorted(asked)])
    for us, by_sql in db.execute(
        "SELECT c.timings ->> 'first_byte_us', u.first_byte_us FROM charges AS c JOIN charge_usage AS u USING (hold_id)"
    ):
        assert by_sql == rounded(us)
        assert abs(by_sql - us) * 20 <= us
    assert len({rounded(us) for us in range(1_000_000, 10_000_000, 1000)}) < 40


def _fill(db: apsw.Connection, times: list[tuple[int, int]]) -> None:
    """Charges of one key in two hours, as a store without hours had them."""
    begins = 500_000 * US_PER_HOUR
    rows = [
        (
            first_id("hold", begins // 1000)[:-8] + f"{number:08d}",
            begins + number % 2 * US_PER_HOUR,
            json.dumps({"first_byte_us": f, "last_byte_us": t}),
        )
        for number, (f, t) in enumerate(times)
    ]
    db.execute("BEGIN")
    db.execute(
        "INSERT INTO keys VALUES ('key', 'acc', 'acc', 'hash', '', 0, '', 'active', '', 0, NULL, '[]', 'never', NULL, '', NULL, NULL, NULL, '{}', "
        "'{}', NULL, NULL, NULL, 1)"
    )
    db.executemany(
        "INSERT INTO holds VALUES (?1, 'req', 1, 'key', 'acc', 'acc', 'acc', 0, 0, 0, 1, 0, '[]', '[]', 1, 0, 0, 'openai', 'gpt', 'chat', 'p', ?2, 0, "
        "'', '', '', '', 'captured', 0)",
        [row[:2] for row in rows],
    )
    db.executemany(
        "INSERT INTO charges VALUES (?1, 'req', 'key', 'acc', 'acc', 'acc', 0, 'answered', 'exact', 0, 0, 0, 0, 0, 7, '[]', 'openai', 'gpt', '', "
        """'chat', '{"units": {"in_text_uncached": 5, "out_text": 2}}', '[]', ?2, '', 200, '', 0, 0)""",
        [(row[0], row[2]) for row in rows],
    )
    db.execute("COMMIT")


def _forget(db: apsw.Connection) -> None:
    """As if the store had never known hours."""
    db.execute(
        "DROP VIEW charge_usage; DROP TABLE usage_hours; DROP TABLE usage_counts; DELETE FROM migrations WHERE name LIKE '%rollups%'"
    )


def _hours(db: apsw.Connection) -> list[list[tuple[Any, ...]]]:
    wanted = (
        "SELECT * FROM usage_hours ORDER BY hour, series",
        "SELECT * FROM usage_counts WHERE quantity <> 0 ORDER BY hour, series, name",
    )
    return [list(db.execute(sql)) for sql in wanted]


def test_an_existing_store_gets_the_hours_it_would_have_had(tmp_path: Path) -> None:
    """The schema change adds up the charges that are there."""
    shop = Shop(tmp_path / "farebox.db", 3)
    shop.trade(40)
    shop.close()
    shutil.copy(tmp_path / "farebox.db", tmp_path / "old.db")
    new, old = (apsw.Connection(str(tmp_path / name)) for name in ("farebox.db", "old.db"))
    _forget(old)
    assert migrate(old, "sqlite", lambda: 0) == ["0003_rollups.sql"]
    assert _hours(old) == _hours(new)
    assert all(_hours(new))


BY: tuple[tuple[str, ...], ...] = ((), ("hour",), ("user", "model", "key", "day"))


def _steps(path: Path, calls: int) -> list[tuple[int, Group]]:
    """How much SQLite does for reports about so many calls, and what they say first."""
    db = apsw.Connection(str(path))
    migrate(db, "sqlite", lambda: 0)
    _fill(db, [((number // 2 % 5 + 1) * 1000, 9000) for number in range(calls)])
    _forget(db)
    migrate(db, "sqlite", lambda: 0)
    db.close()
    steps: list[int] = []
    reports = Reports(path, wall_clock)
    count = lambda event: steps.append(event["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"])  # noqa: E731 - one line for one number
    reports._db.connection.trace_v2(apsw.SQLITE_TRACE_PROFILE, count)  # type: ignore[attr-defined]  # SQLite's own figures
    found = []
    for by in BY:
        steps.clear()
        groups = usage(reports, Question(499_999 * US_PER_HOUR, 500_002 * US_PER_HOUR, by, scope="acc", key="key"), 100, 0)
        assert sum(group.calls for group in groups) == calls
        assert groups[0].units["out_text"] == 2 * groups[0].calls
        found.append((sum(steps), groups[0]))
    reports.close()
    return found


def test_a_question_costs_the_same_at_100_000_calls_as_at_10(tmp_path: Path) -> None:
    """Counted in the steps of SQLite's own machine; what is read are hours, not charges."""
    for (few, of_few), (many, of_many) in zip(_steps(tmp_path / "few.db", 10), _steps(tmp_path / "many.db", 100_000), strict=True):
        assert few > 100
        assert many <= few * 1.1
        assert of_few.first_byte == of_many.first_byte


def test_hours_that_differ_from_their_charges_are_found(tmp_path: Path) -> None:
    """By verify: sums, units and times, and an hour that is not there."""
    path = tmp_path / "farebox.db"
    shop = Shop(path, 1)
    shop.trade(20)
    shop.close()
    for wrong, finding in (
        ("UPDATE usage_hours SET cost = cost + 1 WHERE rowid_is = 1", "usage by the hour is the sum of charges"),
        ("UPDATE usage_counts SET quantity = quantity - 1 WHERE rowid_is = 1", "units and times by the hour are those of charges"),
        ("DELETE FROM usage_counts WHERE rowid_is = 1", "units and times by the hour are those of charges"),
        ("DELETE FROM usage_hours WHERE rowid_is = 1", "usage by the hour is the sum of charges"),
    ):
        spoilt = tmp_path / "spoilt.db"
        shutil.copy(path, spoilt)
        db = apsw.Connection(str(spoilt))
        table = "usage_counts" if "usage_counts" in wrong else "usage_hours"
        db.execute(wrong.replace("rowid_is = 1", f"(hour, series) = (SELECT hour, series FROM {table} LIMIT 1)"))
        assert db.changes() > 0
        db.close()
        verdict = verify(spoilt)
        assert finding in [found.invariant for found in verdict.findings]


def test_a_refund_in_another_batch_counts_in_the_hour_of_its_charge(shop: Shop) -> None:
    """Once, and as often as it is given."""
    event = shop.event()
    (recorded,) = shop.tell([event])
    assert isinstance(recorded, Recorded)
    for number in range(3):
        (done,) = shop.tell([Refund(f"r{number}", recorded.charge_id, 2)])
        assert isinstance(done, Done), done
    (group,) = usage(shop.reports, Question(0, 2**60, ("hour",)), 9, 0)
    assert (group.calls, group.paid, group.refunded) == (1, recorded.paid, 6)
    assert isinstance(event, RecordEvent)
    assert group.by == (event.at - event.at % US_PER_HOUR,)
