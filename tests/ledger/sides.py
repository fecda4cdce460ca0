"""The store and the model, side by side: each thing that can be asked of both, drawn by chance, and the comparison of every answer and number.

Chance is whoever draws: Hypothesis, which makes a failure small, or a seeded generator, which goes far.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import msgspec

from farebox.clock import US_PER_DAY, US_PER_HOUR, US_PER_MINUTE, US_PER_S, from_rfc3339
from farebox.ledger.bounds import Affine, Bound
from farebox.ledger.commands import (
    Adjust,
    Authorize,
    Authorized,
    BookExpiry,
    Capture,
    Command,
    EditAccount,
    EditKey,
    Expire,
    Extend,
    Gate,
    GrantMoney,
    Idempotency,
    IssueKey,
    Move,
    OpenAccount,
    Outcome,
    PublishBook,
    RecordEvent,
    Refund,
    Refused,
    Release,
    Result,
    SetBudgets,
    Settled,
)
from farebox.ledger.lasting import HandOver, StoredObject
from farebox.ledger.model import Budget, Counter, Filter, Key
from farebox.store.database import Answer
from ledger.desk import FAR, Desk
from ledger.model import Held, label_of
from ledger.rulebook import Rulebook, Said
from support.homes import Home, PostgresHome, everything

T = TypeVar("T")


class Chance(Protocol):
    """Whoever draws."""

    def pick(self, among: Sequence[T]) -> T: ...
    def number(self, least: int, most: int) -> int: ...


MODELS = ("openai/gpt-4o", "openai/gpt-4o", "openai/gpt-4o-mini", "anthropic/claude-opus")
WINDOWS = ("lifetime", "hour", "day", "week", "month", "quarter", "year", "rolling:1m", "rolling:1m", "rolling:1h", "rolling:24h")
ZONES = ("UTC", "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata")
FILTERS = (
    Filter(),
    Filter(),
    Filter(),
    Filter(models=("openai/*",)),
    Filter(models=("claude-*", "gpt-4o")),
    Filter(tags=(("team", "a"),)),
)
# Moments before something happens to windows: clocks change (both ways, by an hour or half of one), months, quarters and years end.
STARTS = tuple(
    from_rfc3339(text)
    for text in (
        "2026-03-29T00:30:00Z",
        "2026-10-25T00:10:00Z",
        "2026-11-01T05:30:00Z",
        "2026-04-04T14:40:00Z",
        "2026-10-03T15:20:00Z",
        "2026-12-31T22:50:00Z",
        "2028-02-28T23:58:00Z",
    )
)
STEPS = (0, 1, US_PER_S, 5 * US_PER_S, 20 * US_PER_S, US_PER_MINUTE, 29 * US_PER_MINUTE, US_PER_HOUR, 23 * US_PER_HOUR, 9 * US_PER_DAY)
TOLD_LATE = (0, 0, 0, -US_PER_MINUTE, -US_PER_HOUR, -US_PER_DAY, -20 * US_PER_DAY, -36 * US_PER_DAY, US_PER_MINUTE, US_PER_HOUR)
BACKWARDS = (US_PER_S, US_PER_HOUR, US_PER_DAY)


class Sides:
    """The model, the stores, and the clock they share."""

    def __init__(self, *homes: Home) -> None:
        self.desks = [Desk(home) for home in homes]
        self.wall = self.desks[0].now
        self.model = Rulebook()
        self.numbers = 0
        self.high = self.durable = 0
        self.gates: dict[str, list[Gate]] = {}
        self.past: list[Command] = []

    @property
    def now(self) -> int:
        return max(self.high, self.wall)

    def new(self, prefix: str) -> str:
        self.numbers += 1
        return f"{prefix}{self.numbers}"

    # --- both sides --------------------------------------------------------------------------------------------------------------

    def ask(self, *entries: tuple[Command, ...]) -> None:
        """Several entries, waiting together: a store decides them in as few commits as it likes, the model one after the other."""
        answers, *others = [self._answers(desk, entries) for desk in self.desks]
        assert all(other == answers for other in others), (entries, answers, others)
        self.high = self.now
        for entry, answer in zip(entries, answers, strict=True):
            assert isinstance(answer, tuple), (entry, answer)
            for command, outcome in zip(entry, answer, strict=True):
                self.model.wrote = False
                expected = self.model.decide(command, self.high)
                self.durable = self.high if self.model.wrote else self.durable
                agree(command, expected, outcome)
                self.past = [*self.past[-40:], command]

    def _answers(self, desk: Desk, entries: Sequence[tuple[Command, ...]]) -> list[Answer]:
        """SQLite's clock is the machine's, which may go back; PostgreSQL's is the server's: that it does not is the server's business."""
        moment = self.now if isinstance(desk.home, PostgresHome) else self.wall
        if desk.now != moment:
            desk.now = moment
        return desk.batch(*entries)

    def compare(self) -> None:
        """Every number that any of them has."""
        for desk in self.desks:
            self._compare_grants(desk)
            self._compare_windows(desk)
            self._compare_holds(desk)
            assert not set(desk.alarms) - {"clock_went_back"}, desk.alarms

    def leave(self) -> None:
        """The end: the books add up, and are the same ones."""
        self.compare()
        books = [everything(desk.home) for desk in self.desks]
        for table in books[0]:
            assert all(book[table] == books[0][table] for book in books), table
        for desk in self.desks:
            desk.leave()

    def _compare_grants(self, desk: Desk) -> None:
        rows = desk.rows("SELECT id, wallet, amount, spent, held, expired FROM grants")
        ours = {name: (block.wallet, *self.model.books.grant(name).values()) for name, block in self.model.books.blocks.items()}
        assert {row[0]: row[1:] for row in rows} == ours

    def _compare_windows(self, desk: Desk) -> None:
        """Every counter in every window, named as people name it: the store's start of a window must lie in it."""
        books = self.model.books
        theirs: dict[tuple[str, object], tuple[int, ...]] = {}
        for name, start, *numbers in desk.rows("SELECT * FROM windows"):
            if any(numbers):
                counter = books.counters.get(name) or Counter(name, "lifetime")
                place = (name, label_of(counter, start))
                assert place not in theirs, f"two rows for one window: {place}"
                theirs[place] = tuple(numbers)
        ours: dict[tuple[str, object], list[int]] = {}
        for hold in books.holds.values():
            for name in hold.counted:
                counter = books.counters.get(name) or Counter(name, "lifetime")
                sums = ours.setdefault((name, label_of(counter, hold.at)), [0] * 8)
                add(sums, 0, hold.amounts if hold.state == "open" else {})
                add(sums, 4, hold.charge.amounts if hold.charge is not None else {})
        assert theirs == {place: tuple(sums) for place, sums in ours.items() if any(sums)}

    def _compare_holds(self, desk: Desk) -> None:
        states = desk.rows("SELECT id, state, amount, units FROM holds")
        ours = {name: (hold.state, hold.amounts["price"], hold.units) for name, hold in self.model.books.holds.items()}
        assert {row[0]: row[1:] for row in states} == ours
        waiting = {name for name, hold in self.model.books.holds.items() if hold.handed and hold.state == "open"}
        assert {row[0] for row in desk.rows("SELECT hold_id FROM background")} == waiting
        objects = desk.rows("SELECT provider, id, kind, account, facts FROM objects")
        assert {row[:2]: row[2:] for row in objects} == self.model.books.objects
        taken = desk.rows("SELECT key, name, state, request_id, answer FROM replays")
        assert {row[:2]: row[2:] for row in taken} == {at: (t.state, t.request, t.answer) for at, t in self.model.books.taken.items()}

    # --- the beginning -----------------------------------------------------------------------------------------------------------

    def begin(self, chance: Chance) -> None:
        """A root with money and a key, and below it a team that pays for itself or not."""
        self.wall = chance.pick(STARTS)
        own = chance.pick((True, False))
        self.ask((OpenAccount("begin 1", "org", True),), (OpenAccount("begin 2", "team", own, "org"),), (PublishBook("begin 3", 1),))
        for wallet in ("org", "team") if own else ("org",):
            for number in range(chance.number(1, 3)):
                self.ask((GrantMoney(f"money {wallet} {number}", f"grt_{wallet}_{number}", wallet, chance.number(200, 2500)),))
        for name, account, tags in (("k1", "org", {}), ("k2", "team", {"team": "a"})):
            limit = chance.pick((None, None, chance.number(0, 3000)))
            calls = chance.pick((None, None, None, 4))
            key = Key(name, account, "org", f"hash {name}", "", self.now, tags=tags, concurrent=calls)
            self.ask((IssueKey(f"issue {name}", key, limit),))

    def any_key(self, chance: Chance) -> str:
        return chance.pick(sorted(self.model.books.keys))

    def any_account(self, chance: Chance) -> str:
        return chance.pick(sorted(self.model.books.accounts))

    def any_scope(self, chance: Chance) -> str:
        return chance.pick(sorted(self.model.books.keys) + sorted(self.model.books.accounts))

    def any_wallet(self, chance: Chance) -> str:
        """Nearly always one that is a wallet."""
        accounts = self.model.books.accounts
        return chance.pick(sorted(accounts) + 4 * sorted(name for name, node in accounts.items() if node.wallet == name))

    def any_hold(self, chance: Chance, among: Callable[[Held], bool] = lambda _: True) -> str:
        names = [name for name, hold in self.model.books.holds.items() if among(hold)]
        return chance.pick(names[-12:]) if names else "no such hold"

    # --- calls -------------------------------------------------------------------------------------------------------------------

    def bound(self, chance: Chance) -> Bound:
        """A worst case: a fixed one, or one that grows with the output cap."""

        def part(most: int) -> Affine:
            return Affine(chance.number(0, most), chance.pick((0, 0, chance.number(1, 12))), chance.pick((1, 1, 3)), chance.number(0, 5))

        least = chance.number(1, 12)
        return Bound(part(300), part(300), Affine(chance.number(0, 60), chance.number(0, 2)), least, least + chance.pick((0, 5, 25)))

    def gate(self, chance: Chance, key: str, model: str, run: str) -> Gate:
        """Planned just now, or (sometimes) earlier, so that it may be stale."""
        old = self.gates.setdefault(f"{key} {model}", [])
        if old and not run and chance.number(0, 7) == 0:
            return chance.pick(old)
        limit = chance.pick((None, chance.number(0, 900))) if run else None
        gate, *others = [desk.gate(key, model, run, limit) for desk in self.desks]
        assert all(other == gate for other in others)
        if not run:
            self.gates[f"{key} {model}"] = [*old[-4:], gate]
        return gate

    def authorize(self, chance: Chance, key: str = "") -> Authorize:
        key = key or self.any_key(chance)
        model, run = chance.pick(MODELS), chance.pick(("", "", "", "", "run-1"))
        provider, _, name = model.partition("/")
        name_taken = chance.pick(("", "", "", "", "", "x", "y"))
        return Authorize(
            hold_id=self.new("hold"),
            request_id=self.new("req"),
            attempt=1,
            gate=self.gate(chance, key, model, run),
            bound=self.bound(chance),
            markup_basis_points=0,
            markup_fixed_nano=0,
            provider=provider,
            model=name,
            route="chat",
            owner="p",
            lasts=chance.pick((FAR, US_PER_HOUR)),
            ceiling=chance.pick((None, None, None, None, chance.number(0, 500))),
            run=run,
            idempotency=Idempotency(name_taken, chance.pick(("f", "f", "g"))) if name_taken else None,
        )

    def settling(self, chance: Chance, name: str) -> Command:
        hold = self.model.books.holds.get(name)
        how = chance.pick(("under", "under", "exact", "over", "over", "release", "expire", "expire late"))
        if how in ("expire", "expire late"):
            return Expire(name, "orphaned" if how == "expire" else "deadline")
        if how == "release":
            return Release(name, chance.pick(("released", "refused")))
        of = {"price": 10, "cost": 10, "tokens": 5} if hold is None else hold.amounts
        price, cost, tokens = (of[name] for name in ("price", "cost", "tokens"))
        if how == "under":
            price, cost, tokens = chance.number(0, price), chance.number(0, cost), chance.number(0, tokens)
        if how == "over":
            price, cost, tokens = price + chance.number(0, 600), cost + chance.number(-20, 300), tokens + chance.number(-5, 90)
        cost, tokens = max(cost, 0), max(tokens, 0)
        gate = None if hold is None else hold.asked.gate
        result = Result("ok", "exact", price, cost, cost, tokens)
        return Capture(name, result, chance.pick((None, b"answer")), gate, objects=self.objects(chance))

    def objects(self, chance: Chance) -> tuple[StoredObject, ...]:
        """Mostly none; of few ids, so that several want the same."""
        names = [chance.pick(("resp_1", "resp_2", "resp_3", "conv_1")) for _ in range(chance.pick((0, 0, 0, 1, 2)))]
        facts = chance.pick(("{}", '{"total_tokens":7}'))
        return tuple(StoredObject("response" if name < "d" else chance.pick(("response", "file")), name, FAR, facts) for name in names)

    def handing(self, chance: Chance) -> HandOver:
        """The provider answers later."""
        name = self.any_hold(chance, lambda hold: hold.state == "open")
        answer = chance.pick((None, b"queued"))
        return HandOver(name, f"resp of {name}", "{}", chance.pick((FAR, US_PER_MINUTE)), US_PER_S, self.objects(chance), answer)

    def hand_over(self, chance: Chance) -> None:
        self.ask((self.handing(chance),))

    def call(self, chance: Chance) -> None:
        self.ask((self.authorize(chance),))

    def end(self, chance: Chance) -> None:
        self.ask((self.settling(chance, self.any_hold(chance, lambda hold: hold.state == "open")),))

    def end_again(self, chance: Chance) -> None:
        self.ask((self.settling(chance, self.any_hold(chance)),))

    def lose(self, chance: Chance) -> None:
        """A process is gone, and its calls with it."""
        names = {self.any_hold(chance, lambda hold: hold.state == "open") for _ in range(chance.number(1, 3))}
        self.ask(*((Expire(name),) for name in sorted(names)))

    def find(self, chance: Chance) -> None:
        """The truth comes late, for some of those that were lost; and others call at that moment."""
        names = {self.any_hold(chance, lambda hold: hold.state == "expired" and hold.may_change) for _ in range(2)}
        late = [self.settling(chance, name) for name in sorted(names)]
        self.ask(*((command,) for command in late), (self.authorize(chance),))

    def retry(self, chance: Chance) -> None:
        """Settle the old attempt and authorize the new one, in one entry."""
        name = self.any_hold(chance, lambda hold: hold.state == "open")
        old = self.model.books.holds.get(name)
        new = self.authorize(chance, "" if old is None else old.key)
        if old is not None and isinstance(old.asked, Authorize):
            new = msgspec.structs.replace(new, request_id=old.asked.request_id, attempt=2, idempotency=old.asked.idempotency)
        self.ask((self.settling(chance, name), new))

    def together(self, chance: Chance) -> None:
        """Many at once, some of them about the same hold, some about one that is only being made."""
        entries: list[tuple[Command, ...]] = []
        for _ in range(chance.number(2, 7)):
            if chance.number(0, 5) == 0:
                entries.append((self.handing(chance),))
            elif chance.pick((True, False)):
                command = self.authorize(chance)
                entries.append((command,))
                price = chance.number(0, 600)
                if chance.number(0, 3) == 0:
                    entries.append((Capture(command.hold_id, Result("ok", "exact", price, price, price, 20), None, command.gate),))
            else:
                entries.append((self.settling(chance, self.any_hold(chance)),))
        self.ask(*entries)

    def extend(self, chance: Chance) -> None:
        name = self.any_hold(chance, lambda hold: hold.state == "open")
        hold = self.model.books.holds.get(name)
        key, model, run = ("k1", MODELS[0], "") if hold is None else (hold.key, hold.model, hold.asked.run)
        gate = self.gate(chance, chance.pick((key, key, key, "k1")), model, run)
        self.ask((Extend(self.new("cmd"), name, self.bound(chance), gate, chance.pick((None, 10, FAR))),))

    def record(self, chance: Chance) -> None:
        """Work that was done elsewhere, today or long ago; several are told of at once."""
        self.ask(*((self.event(chance),) for _ in range(chance.number(1, 3))))

    def event(self, chance: Chance) -> RecordEvent:
        model, run = chance.pick(MODELS), chance.pick(("", "", "", "run-1"))
        provider, _, name = model.partition("/")
        price = chance.number(0, 500)
        return RecordEvent(
            id=self.new("event"),
            fingerprint="content",
            hold_id=self.new("hold"),
            request_id=self.new("req"),
            gate=self.gate(chance, self.any_key(chance), model, run),
            result=Result("recorded", "exact", price, chance.number(0, price), price, chance.pick((0, 0, 40))),
            at=self.now + chance.pick(TOLD_LATE),
            when_short=chance.pick(("refuse", "write_off")),
            markup_basis_points=0,
            markup_fixed_nano=0,
            provider=provider,
            model=name,
            route="events",
            owner="api",
            run=run,
        )

    def ask_again(self, chance: Chance) -> None:
        """Any command that was given, again; some with other content."""
        command = chance.pick(self.past)
        self.ask((altered(command) if chance.number(0, 3) == 0 else command,))

    # --- money -------------------------------------------------------------------------------------------------------------------

    def grant(self, chance: Chance) -> None:
        begins = chance.pick((0, 0, 0, self.now + US_PER_HOUR))
        ends = chance.pick((None, None, self.now + 30 * US_PER_S, self.now + US_PER_DAY))
        kind: Any = chance.pick(("purchase", "purchase", "promotion", "refund", "adjustment"))
        amount = chance.pick((chance.number(1, 400), chance.number(1, 3000), chance.number(1, 900), chance.number(-1, 0)))
        self.ask(
            (GrantMoney(self.new("cmd"), self.new("grt"), self.any_wallet(chance), amount, kind, chance.pick((0, 0, -1, 5)), begins, ends),)
        )

    def move(self, chance: Chance) -> None:
        self.ask((Move(self.new("cmd"), self.any_wallet(chance), self.any_wallet(chance), chance.number(-1, 900)),))

    def adjust(self, chance: Chance) -> None:
        self.ask((Adjust(self.new("cmd"), self.any_wallet(chance), chance.number(-900, 300)),))

    def refund(self, chance: Chance) -> None:
        name = self.any_hold(chance, lambda hold: hold.charge is not None)
        self.ask((Refund(self.new("cmd"), name, chance.pick((None, chance.number(-1, 150)))),))

    def book_expiry(self, chance: Chance) -> None:
        ending = [block.id for block in self.model.books.blocks.values() if block.ends is not None]
        grants = [chance.pick([*ending, "no such grant"]) for _ in range(chance.number(1, 3))]
        self.ask(tuple(BookExpiry(self.new("cmd"), grant) for grant in grants))

    # --- policy ------------------------------------------------------------------------------------------------------------------

    def open_account(self, chance: Chance) -> None:
        if len(self.model.books.accounts) < 5:
            parent = chance.pick((None, *sorted(self.model.books.accounts)))
            name = self.new("acc")
            key = Key(f"k_{name}", name, "", f"hash {name}", "", self.now)
            self.ask((OpenAccount(self.new("cmd"), name, chance.pick((True, False)), parent), IssueKey(self.new("cmd"), key)))

    def set_budgets(self, chance: Chance) -> None:
        """Made late: the counters begin with what they would have counted."""
        scope, budgets = self.any_scope(chance), []
        for _ in range(chance.number(0, 2)):
            measure: Any = chance.pick(("price", "price", "provider_cost", "tokens", "requests"))
            limit = chance.number(0, {"tokens": 500, "requests": 12}.get(measure, chance.pick((800, 5000))))
            counter = Counter(scope, chance.pick(WINDOWS), chance.pick(ZONES), chance.pick(FILTERS))
            budgets.append(Budget(counter, limit, measure, hard=chance.pick((True, True, False))))
        self.ask((SetBudgets(self.new("cmd"), scope, tuple(budgets)),))

    def edit_key(self, chance: Chance) -> None:
        what = chance.pick(
            ("limit", "limit", "requests_per_minute", "tokens_per_minute", "concurrent", "limit_reset", "tags", "expires_at", "status")
        )
        values: dict[str, tuple[object, ...]] = {
            "requests_per_minute": (None, None, 2, 6),
            "tokens_per_minute": (None, None, 100, 300),
            "concurrent": (None, None, 1, 4),
            "limit_reset": (None, "day", "month", "hour", "rolling:1h"),
            "tags": ({}, {"team": "a"}),
            "expires_at": (None, None, self.now + US_PER_DAY),
            "status": ("active", "active", "active", "active", "paused", "revoked" if len(self.model.books.keys) > 3 else "active"),
        }
        changes = {} if what == "limit" else {what: chance.pick(values[what])}
        limit: Any = chance.pick((None, chance.number(0, 3000))) if what == "limit" else ""
        self.ask((EditKey(self.new("cmd"), self.any_key(chance), changes, limit),))

    def edit_account(self, chance: Chance) -> None:
        status = chance.pick(("active", "active", "active", "paused"))
        self.ask((EditAccount(self.new("cmd"), self.any_account(chance), {"status": status}),))

    def resume(self, chance: Chance) -> None:
        """What was paused goes on."""
        for account in sorted(self.model.books.accounts.values(), key=lambda node: node.id):
            if account.status == "paused":
                self.ask((EditAccount(self.new("cmd"), account.id, {"status": "active"}),))
        for key in sorted(self.model.books.keys.values(), key=lambda key: key.id):
            if key.status == "paused" or key.expires_at is not None:
                self.ask((EditKey(self.new("cmd"), key.id, {"status": "active", "expires_at": None}),))

    def publish(self, chance: Chance) -> None:
        self.ask((PublishBook(self.new("cmd"), self.model.books.book + chance.pick((0, 1, 1))),))

    # --- time, and the end of processes --------------------------------------------------------------------------------------------

    def wait(self, chance: Chance) -> None:
        self.wall += chance.pick(STEPS)

    def clock_goes_back(self, chance: Chance) -> None:
        self.wall -= chance.pick(BACKWARDS)

    def restart(self, chance: Chance) -> None:
        for desk in self.desks:
            desk.reopen()
        self.high = self.durable

    def crash(self, chance: Chance) -> None:
        """The process dies before its commit: nothing was answered, and what it began is not there when another one opens the files."""
        commands = [self.authorize(chance), self.settling(chance, self.any_hold(chance))]
        for desk in self.desks:
            desk.die(*((command,) for command in commands))
        self.high = self.durable


# How often each is asked in a walk.
WEIGHTS: dict[Callable[[Sides, Chance], None], int] = {
    Sides.call: 22,
    Sides.end: 13,
    Sides.end_again: 3,
    Sides.lose: 4,
    Sides.find: 4,
    Sides.hand_over: 5,
    Sides.retry: 3,
    Sides.together: 8,
    Sides.extend: 4,
    Sides.record: 5,
    Sides.ask_again: 5,
    Sides.grant: 9,
    Sides.move: 3,
    Sides.adjust: 2,
    Sides.refund: 3,
    Sides.book_expiry: 3,
    Sides.open_account: 1,
    Sides.set_budgets: 5,
    Sides.edit_key: 4,
    Sides.edit_account: 1,
    Sides.resume: 3,
    Sides.publish: 1,
    Sides.wait: 8,
    Sides.clock_goes_back: 1,
    Sides.restart: 1,
    Sides.crash: 2,
}


def add(sums: list[int], at: int, amounts: dict[str, int]) -> None:
    for place, name in enumerate(("price", "cost", "tokens", "requests"), start=at):
        sums[place] += amounts.get(name, 0)


def altered(command: Command) -> Command:
    """The same id with other content."""
    fields: dict[str, Any] = msgspec.structs.asdict(command)
    match command:
        case Authorize():
            fields["request_id"] += "'"
        case RecordEvent():
            fields["fingerprint"] += "'"
        case Capture(result=result):
            fields["result"] = Result("other", "estimated", result.price + 1, result.cost, result.list_cost, result.tokens)
        case GrantMoney() | Move() | Adjust():
            fields["amount"] += 1
        case Refund():
            fields["note"] += "'"
        case EditKey() | EditAccount():
            fields["changes"] = {**fields["changes"], "name": "other"}
        case BookExpiry():
            fields["grant_id"] += "'"
        case Extend():
            fields["lasts"] = 1
        case SetBudgets():
            fields["budgets"] = (*fields["budgets"], Budget(Counter(command.scope, "year"), 99))
        case PublishBook():
            fields["version"] += 1
        case _:
            pass
    return type(command)(**fields)


def agree(command: Command, expected: Said, outcome: Outcome) -> None:
    """The model's words against the store's outcome."""
    said = words(outcome)
    renews = expected.get("renews")
    if renews is not None:
        assert renews(said.get("renews_at")), (command, "renews", said)
    if expected.get("repeated"):
        expected = {name: value for name, value in expected.items() if name != "available"}
    for name, value in expected.items():
        assert name == "renews" or said[name] == value, f"{name}: {said[name]!r}, the model says {value!r}\n{command}\n{said}\n{expected}"


def words(outcome: Outcome) -> Said:
    match outcome:
        case Authorized(hold=hold):
            said = {"kind": "held", "price": hold.amount, "cost": hold.cost_bound, "tokens": hold.tokens_bound, "units": hold.units}
            said |= {"legs": list(hold.legs), "state": hold.state, "deadline": hold.deadline}
            return said | {"repeated": outcome.repeated, "available": outcome.available}
        case Settled(charge=charge):
            said = msgspec.structs.asdict(charge) | {"kind": "settled", "legs": list(charge.legs), "is_revised": charge.revised}
            return said | {"repeated": outcome.repeated, "revised": outcome.revised}
        case Refused():
            return msgspec.structs.asdict(outcome) | {"kind": "refused"}
        case _:
            return msgspec.structs.asdict(outcome) | {"kind": type(outcome).__name__.lower()}
