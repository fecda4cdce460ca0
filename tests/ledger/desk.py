"""Drives a real store in one thread with a clock of its own, in few words: a table of commands, one a line, each with what it must come to.

`desk.play` reads lines such as `capture a 900 | charged 900 paid 600`: what stands after the bar is the beginning of what must be answered.
A line without a bar must be carried out. See `_VERBS` for the words.
"""

import shlex
from collections.abc import Callable
from typing import Any

from farebox.clock import from_rfc3339
from farebox.ledger.bounds import Affine, Bound
from farebox.ledger.commands import (
    Adjust,
    Authorize,
    Authorized,
    BookExpiry,
    Capture,
    Command,
    Conflict,
    Done,
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
    Recorded,
    RecordEvent,
    Refund,
    Refused,
    Release,
    Repeated,
    Requote,
    Result,
    SetBudgets,
    Settled,
    Unchanged,
)
from farebox.ledger.model import Budget, Counter, Filter, Key
from farebox.store.database import Answer, Database, Entry, Store
from farebox.store.loading import Loader
from farebox.store.opening import connect
from farebox.store.verify import verify
from support.homes import Home

START = from_rfc3339("2026-03-10T12:00:00Z")
FAR = 2**60
_UNIT_US = {"us": 1, "ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
_NUMBERS = ("limit", "requests_per_minute", "tokens_per_minute", "concurrent", "expires_at")


class Desk:
    """A store, its clock, and what was alarmed."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.now = START
        self.alarms: list[str] = []
        self.gates: dict[str, Gate] = {}
        self.answer: Outcome | None = None
        self._commands = 0
        self._readers: Database | None = None
        self.store = self._open()

    @property
    def now(self) -> int:
        """The moment it is, for everybody."""
        return self._now

    @now.setter
    def now(self, now: int) -> None:
        self._now = now
        self.home.stand(now)

    def _open(self) -> Store:
        return self.home.open(lambda name, **_: self.alarms.append(name))

    def close(self) -> None:
        if self._readers is not None:
            self._readers.close()
            self._readers = None
        self.home.leave()
        self.store.close()

    def reopen(self) -> None:
        """Another process on the same store."""
        self.close()
        self.store = self._open()

    def die(self, *entries: Entry) -> None:
        """The process is killed before it commits these; another one finds what it left."""
        home = self.home.killed(self.store, entries)
        self.close()
        self.alarms.clear()
        self.home = home
        self.home.stand(self.now)
        self.store = self._open()

    def leave(self) -> None:
        """The end of every test that moves money: the equations hold, and nothing was alarmed that was not expected."""
        self.close()
        verdict = verify(self.home.place)
        assert verdict.ok, verdict.findings

    # --- asking ------------------------------------------------------------------------------------------------------------------

    def batch(self, *entries: Entry) -> list[Answer]:
        return self.store.decide(entries)

    def do(self, *commands: Command) -> tuple[Outcome, ...]:
        (answer,) = self.batch(commands)
        assert isinstance(answer, tuple), answer
        return answer

    def one(self, command: Command) -> Outcome:
        return self.do(command)[0]

    def rows(self, sql: str, *arguments: object) -> list[tuple[Any, ...]]:
        return self.home.rows(sql, *arguments)

    def gate(self, key: str = "key", model: str = "openai/gpt-4o", run: str = "", run_limit: int | None = None) -> Gate:
        """What a gateway plans a call with: read as its readers do."""
        if self._readers is None:
            self._readers = connect(self.home.place)
        loader = Loader(self._readers)
        return loader.policy(loader._key(key)).gate(model, run, run_limit)

    def id(self) -> str:
        self._commands += 1
        return f"cmd_{self._commands}"

    # --- a table -----------------------------------------------------------------------------------------------------------------

    def play(self, table: str) -> "Desk":
        for line in filter(None, map(str.strip, table.splitlines())):
            asked, bar, expected = (part.strip() for part in line.partition("|"))
            said = self.say(asked)
            if bar:
                assert f"{said} ".startswith(f"{expected} "), f"{asked}: {said}, not {expected}"
            else:
                assert not said.startswith(("refused", "conflict", "requote", "repeated", "unchanged")), f"{asked}: {said}"
        return self

    def say(self, asked: str) -> str:
        verb, *words = shlex.split(asked)
        named = dict(word.split("=", 1) for word in words if "=" in word)
        said = _VERBS[verb](self, [word for word in words if "=" not in word], named)
        if isinstance(said, str):
            return said
        self.answer = self.one(said)
        return in_words(self.answer)

    def command(self, asked: str) -> Command:
        """The command of a line, not given yet."""
        verb, *words = shlex.split(asked)
        command = _VERBS[verb](self, [word for word in words if "=" not in word], dict(word.split("=", 1) for word in words if "=" in word))
        assert not isinstance(command, str), asked
        return command

    def moment(self, text: str) -> int:
        """`+1h` from now, or a time."""
        return self.now + span(text[1:]) if text.startswith("+") else from_rfc3339(text)


def span(text: str) -> int:
    digits = text.rstrip("usmhd")
    return int(digits) * _UNIT_US[text.removeprefix(digits)]


def in_words(outcome: Outcome) -> str:
    match outcome:
        case Authorized(hold=hold):
            return f"held {hold.amount} units {hold.units} available {outcome.available}" + (" again" if outcome.repeated else "")
        case Refused():
            return f"refused {outcome.reason} {outcome.scope} needed {outcome.needed} available {outcome.available}"
        case Settled(charge=charge):
            again = (" again" if outcome.repeated else "") + (" revised" if outcome.revised else "")
            return f"charged {charge.price} paid {charge.paid} lost {charge.written_off}{again}"
        case Recorded():
            late = (" late" if outcome.late else "") + (" again" if outcome.repeated else "")
            return f"recorded {outcome.price} paid {outcome.paid}{late}"
        case Requote():
            return f"requote {outcome.what}"
        case Repeated():
            return f"repeated {outcome.state} {outcome.request_id}"
        case Unchanged():
            return "unchanged"
        case Conflict():
            return "conflict"
        case Done():
            return f"done {outcome.amount}" + (" again" if outcome.repeated else "")


# --- the words ---------------------------------------------------------------------------------------------------------------------------

Words = list[str]
Named = dict[str, str]


def bound(price: str, named: Named) -> Bound:
    """`hold a 100`: exactly; `hold a 100 each=5 units=1-10`: 100 and 5 for each unit, between 1 and 10 of them."""
    low, _, high = named.get("units", "1").partition("-")
    cost, tokens = int(named.get("cost", price)), int(named.get("tokens", 10))
    each = int(named.get("each", 0))
    return Bound(Affine(int(price), each), Affine(cost, each), Affine(tokens), int(low), int(high or low))


def _hold(desk: Desk, words: Words, named: Named) -> Command:
    name, price = words
    provider, _, model = named.get("model", "openai/gpt-4o").partition("/")
    limit = named.get("run_limit")
    gate = desk.gates.get(named.get("gate", "")) or desk.gate(
        named.get("key", "key"), f"{provider}/{model}", named.get("run", ""), int(limit) if limit else None
    )
    idem = named.get("idem", "").partition(":")
    desk.gates[name] = gate
    return Authorize(
        hold_id=name,
        request_id=named.get("request", f"req_{name}"),
        attempt=int(named.get("attempt", 1)),
        gate=gate,
        bound=bound(price, named),
        markup_basis_points=0,
        markup_fixed_nano=0,
        provider=provider,
        model=model,
        route="chat",
        owner="p1",
        lasts=desk.moment(named["deadline"]) - desk.now if "deadline" in named else FAR,
        ceiling=int(named["ceiling"]) if "ceiling" in named else None,
        run=named.get("run", ""),
        idempotency=Idempotency(idem[0], idem[2]) if idem[0] else None,
    )


def _capture(desk: Desk, words: Words, named: Named) -> Command:
    name, price = words
    cost, tokens = int(named.get("cost", price)), int(named.get("tokens", 10))
    result = Result(
        named.get("outcome", "ok"), named.get("completeness", "exact"), int(price), cost, cost, tokens, lines=named.get("lines", "[]")
    )
    answer = named["answer"].encode() if "answer" in named else None
    return Capture(name, result, answer, desk.gates.get(name))


def _event(desk: Desk, words: Words, named: Named) -> Command:
    """`event a 100 at=-1d short=write_off`: work that was done elsewhere, a day ago."""
    name, price = words
    ago = named.get("at", "-0s")
    at = desk.now - span(ago[1:]) if ago.startswith("-") else desk.moment(ago)
    provider, _, model = named.get("model", "own/render").partition("/")
    result = Result("recorded", "exact", int(price), int(named.get("cost", 0)), 0, int(named.get("tokens", 0)))
    gate = desk.gates.get(named.get("gate", "")) or desk.gate(named.get("key", "key"), f"{provider}/{model}", named.get("run", ""))
    return RecordEvent(
        id=f"event {name}",
        fingerprint=named.get("content", "content"),
        hold_id=named.get("hold", name),
        request_id=f"req_{name}",
        gate=gate,
        result=result,
        at=at,
        when_short=named.get("short", "refuse"),  # type: ignore[arg-type]
        markup_basis_points=0,
        markup_fixed_nano=0,
        provider=provider,
        model=model,
        route="events",
        owner="api",
        run=named.get("run", ""),
    )


def _extend(desk: Desk, words: Words, named: Named) -> Command:
    lasts = desk.moment(named["deadline"]) - desk.now if "deadline" in named else None
    gate = desk.gates.get(named.get("gate", "")) or desk.gate(named.get("key", "key"))
    return Extend(named.get("id", desk.id()), words[0], bound(words[1], named), gate, lasts)


def _account(desk: Desk, words: Words, named: Named) -> Command:
    return OpenAccount(
        named.get("id", desk.id()), words[0], named.get("wallet", "own") == "own", named.get("parent"), external_id=named.get("external")
    )


def _key(desk: Desk, words: Words, named: Named) -> Command:
    numbers: dict[str, Any] = {name: int(named[name]) for name in _NUMBERS if name in named and name != "limit"}
    tags = dict([named["tag"].split(":")]) if "tag" in named else {}
    hash_ = named.get("hash", f"hash of {words[0]}")
    key = Key(words[0], named.get("account", "acc"), "", hash_, "fb-…", 0, tags=tags, limit_reset=named.get("reset"), **numbers)
    return IssueKey(named.get("id", desk.id()), key, int(named["limit"]) if "limit" in named else None)


def _edit(desk: Desk, words: Words, named: Named) -> Command:
    changes: dict[str, object] = {name: value for name, value in named.items() if name not in ("id", "limit", "limit_reset", *_NUMBERS)}
    changes |= {name: int(named[name]) if named[name] else None for name in _NUMBERS if name in named and name != "limit"}
    changes |= {"limit_reset": named["limit_reset"] or None} if "limit_reset" in named else {}
    if "account" in words:
        return EditAccount(named.get("id", desk.id()), words[0], changes)
    limit = "" if "limit" not in named else int(named["limit"]) if named["limit"] else None
    return EditKey(named.get("id", desk.id()), words[0], changes, limit)  # type: ignore[arg-type]


def _budget(desk: Desk, words: Words, named: Named) -> Command:
    """Sets the only budget of a scope (`budget key none`: takes it away)."""
    scope, limit = words[0], words[1]
    tags = (tuple(named["tag"].split(":")),) if "tag" in named else ()
    chosen = Filter(tuple(filter(None, named.get("models", "").split(","))), tags)  # type: ignore[arg-type]
    counter = Counter(scope, named.get("window", "lifetime"), named.get("zone", "UTC"), chosen)
    measure: Any = named.get("measure", "price")
    budgets = () if limit == "none" else (Budget(counter, int(limit), measure, "soft" not in words),)
    return SetBudgets(named.get("id", desk.id()), scope, budgets)


def _topup(desk: Desk, words: Words, named: Named) -> Command:
    name, kind = named.get("id", desk.id()), named.get("kind", "purchase")
    begins = desk.moment(named["begins"]) if "begins" in named else 0
    ends = desk.moment(named["ends"]) if "ends" in named else None
    priority = int(named.get("priority", 0))
    return GrantMoney(name, named.get("grant", f"grt_{name}"), words[0], int(words[1]), kind, priority, begins, ends)  # type: ignore[arg-type]


def _wait(desk: Desk, words: Words, named: Named) -> str:
    desk.now += span(words[0])
    return "waited"


def _at(desk: Desk, words: Words, named: Named) -> str:
    desk.now = from_rfc3339(words[0])
    return "now"


def _wallet(desk: Desk, words: Words, named: Named) -> str:
    (sums,) = desk.rows("SELECT sum(amount), sum(spent), sum(held), sum(expired) FROM grants WHERE wallet = ?", words[0])
    return "granted {} spent {} held {} expired {}".format(*(value or 0 for value in sums))


def _grant(desk: Desk, words: Words, named: Named) -> str:
    (sums,) = desk.rows("SELECT amount, spent, held, expired FROM grants WHERE id = ?", words[0])
    return "granted {} spent {} held {} expired {}".format(*sums)


def _window(desk: Desk, words: Words, named: Named) -> str:
    """`window key day`: what lies in a counter's windows, oldest first."""
    rows = desk.rows(
        "SELECT price_held, price_spent FROM windows WHERE counter = ? AND (requests_held <> 0 OR requests_spent <> 0 OR price_spent <> 0) ORDER BY start",
        "/".join(words),
    )
    return ", ".join(f"held {held} spent {spent}" for held, spent in rows) or "nothing"


_VERBS: dict[str, Callable[[Desk, Words, Named], Command | str]] = {
    "account": _account,
    "key": _key,
    "edit": _edit,
    "budget": _budget,
    "topup": _topup,
    "hold": _hold,
    "extend": _extend,
    "event": _event,
    "capture": _capture,
    "release": lambda desk, words, named: Release(words[0], named.get("outcome", "released")),
    "expire": lambda desk, words, named: Expire(words[0], named.get("why", "orphaned")),  # type: ignore[arg-type]
    "move": lambda desk, words, named: Move(named.get("id", desk.id()), words[0], words[1], int(words[2])),
    "adjust": lambda desk, words, named: Adjust(named.get("id", desk.id()), words[0], int(words[1])),
    "refund": lambda desk, words, named: Refund(named.get("id", desk.id()), words[0], int(words[1]) if words[1:] else None),
    "expiry": lambda desk, words, named: BookExpiry(named.get("id", desk.id()), words[0]),
    "book": lambda desk, words, named: PublishBook(named.get("id", desk.id()), int(words[0])),
    "wait": _wait,
    "at": _at,
    "wallet": _wallet,
    "grant": _grant,
    "window": _window,
}
