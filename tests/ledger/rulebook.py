"""The model's decisions, one method per command: slow and obvious. Each gives the outcome in a few comparable words, and books it."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeVar

import msgspec

from farebox.ledger.bounds import Bound
from farebox.ledger.commands import (
    Adjust,
    Authorize,
    BookExpiry,
    Capture,
    Command,
    EditAccount,
    EditKey,
    Expire,
    Extend,
    Gate,
    GrantMoney,
    IssueKey,
    Move,
    OpenAccount,
    PublishBook,
    RecordEvent,
    Refund,
    Release,
    Result,
    SetBudgets,
)
from farebox.ledger.lasting import HandOver, StoredObject
from farebox.ledger.model import Account, Budget, Counter, Key, Leg
from ledger.model import MEASURES, UNIT_US, Amounts, Block, Booked, Books, Held, Taken, bound_at, is_now, label_of, length_of, step_of

T = TypeVar("T", Account, Key)
Said = dict[str, Any]
HOT = Authorize | HandOver | Capture | Release | Expire | RecordEvent
DRAWN_UP = {Extend: "gate", GrantMoney: "grant_id", OpenAccount: "account_id"}


@dataclass
class Room:
    scope: str
    measure: str
    room: int
    held: int
    cap: Budget | None = None

    @property
    def rate(self) -> str:
        return "" if self.cap is None else self.cap.rate

    @property
    def window(self) -> str:
        return "" if self.cap is None else self.cap.counter.window


def refused(reason: str, scope: str = "", **more: Any) -> Said:
    return {"kind": "refused", "reason": reason, "scope": scope, **more}


class Rulebook:
    """Decides commands on its own books. `wrote` says whether the last one left anything behind."""

    def __init__(self) -> None:
        self.books = Books()
        self.kept: dict[str, tuple[Command, Said]] = {}
        self.events: dict[str, tuple[str, Said]] = {}
        self.wrote = False
        self._rules: dict[type, Callable[[Any, int], Said]] = {
            Authorize: self.authorize,
            HandOver: self.hand_over,
            Capture: self.capture,
            Release: self.release,
            Expire: self.expire,
            RecordEvent: self.record,
            Extend: self.extend,
            OpenAccount: self.open_account,
            EditAccount: self.edit_account,
            IssueKey: self.issue_key,
            EditKey: self.edit_key,
            SetBudgets: self.set_budgets,
            GrantMoney: self.grant,
            Move: self.move,
            Adjust: self.adjust,
            Refund: self.refund,
            BookExpiry: self.book_expiry,
            PublishBook: self.publish,
        }

    def decide(self, command: Command, now: int) -> Said:
        if isinstance(command, HOT):
            return self._rules[type(command)](command, now)
        before = self.kept.get(command.id)
        if before is not None:
            if content(before[0]) != content(command):
                return {"kind": "conflict"}
            return before[1] if before[1]["kind"] == "refused" else before[1] | {"repeated": True}
        said = self._rules[type(command)](command, now)
        if said["kind"] in ("done", "refused", "held"):
            self.kept[command.id] = (command, said)
            self.wrote = True
        return said

    # --- rooms -------------------------------------------------------------------------------------------------------------------

    def wallet_room(self, wallet: str, now: int) -> Room:
        blocks = self.books.drawable(wallet, now)
        held = sum(self.books.waits_for(block.id) for block in blocks)
        return Room(wallet, "price", self.books.available(wallet, now), held)

    def cap_room(self, cap: Budget, at: int) -> Room:
        """What a cap leaves in the window of a moment: its limit, less what is held and spent in it."""
        measure = MEASURES[cap.measure]
        counted = [hold for hold in self.books.counted_in(cap.counter.id) if is_now(cap.counter, hold.at, at)]
        held = sum(hold.amounts[measure] for hold in counted if hold.state == "open")
        growing = sum(hold.amounts[measure] for hold in counted if hold.state == "growing")
        spent = sum(hold.charge.amounts[measure] for hold in counted if hold.charge is not None)
        if cap.rate == "concurrent":
            spent = 0
        return Room(cap.counter.scope, cap.measure, cap.limit - held - growing - spent, held, cap)

    def renewal(self, room: Room, at: int) -> Callable[[int | None], bool]:
        return lambda said: self.renews(room, at, said)

    def renews(self, room: Room, at: int, said: int | None) -> bool:
        """Whether a renewal that was told is the first moment at which this cap's window is another one."""
        if room.cap is None or room.window == "lifetime":
            return said is None
        if said is None:
            return False
        counter = room.cap.counter
        if counter.window.startswith("rolling:"):
            moments = [hold.at for hold in self.books.counted_in(counter.id) if is_now(counter, hold.at, at)]
            oldest = min((at_ // step_of(counter.window) * step_of(counter.window) for at_ in moments), default=None)
            return said > at if oldest is None else said >= oldest + length_of(counter.window) and said > at
        return label_of(counter, said) != label_of(counter, at) == label_of(counter, said - 1)

    def fit(self, bound: Bound, rooms: list[Room], ceiling: int | None, at: int) -> int | Said:
        least = bound_at(bound, bound.units_min)
        for room in rooms:
            if room.rate and least[MEASURES[room.measure]] > room.room:
                return refused("rate_limited", room.scope, measure=room.measure, window=room.rate, renews=self.renewal(room, at))
        if ceiling is not None and least["price"] > ceiling:
            return refused("exceeds_max_cost", needed=least["price"], available=ceiling)
        for units in range(bound.units_max, bound.units_min - 1, -1):
            if fits(bound, units, rooms) and (ceiling is None or bound_at(bound, units)["price"] <= ceiling):
                return units
        return self.no_money(bound, [room for room in rooms if not room.rate], least, at)

    def no_money(self, bound: Bound, rooms: list[Room], least: Amounts, at: int) -> Said:
        def need(room: Room) -> int:
            return least[MEASURES[room.measure]]

        for_good = [room for room in rooms if need(room) > room.room + room.held]
        short = for_good or [room for room in rooms if need(room) > room.room]
        tightest = min(short, key=lambda room: (Fraction(room.room * 1_000_000, max(need(room), 1)).__floor__(), room.scope))
        renewing = tightest.window not in ("", "lifetime")
        reason = "budget_exceeded" if renewing else "exhausted" if tightest.room <= 0 else "exceeds_available"
        return refused(
            reason if for_good else "held",
            tightest.scope,
            measure=tightest.measure,
            window=tightest.window,
            needed=need(tightest),
            available=max(tightest.room, 0),
            affordable_units=next((units for units in range(bound.units_max, 0, -1) if fits(bound, units, rooms)), 0),
            renews=self.renewal(tightest, at),
        )

    # --- calls -------------------------------------------------------------------------------------------------------------------

    def is_stale(self, gate: Gate) -> Said | None:
        key = self.books.keys[gate.key.id]
        path = [self.books.accounts[name] for name in self.books.path(key.account)]
        if key.rev != gate.key.rev:
            return {"kind": "requote", "what": "key"}
        if [node.rev for node in path] != [node.rev for node in gate.path]:
            return {"kind": "requote", "what": "account"}
        if gate.book_version != self.books.book:
            return {"kind": "requote", "what": "prices"}
        return None

    def gate_refuses(self, gate: Gate, now: int) -> Said | None:
        stale = self.is_stale(gate)
        if stale is not None:
            return stale
        key = self.books.keys[gate.key.id]
        path = [self.books.accounts[name] for name in self.books.path(key.account)]
        if key.status == "revoked":
            return refused("key_revoked", key.id)
        if key.expires_at is not None and key.expires_at <= now:
            return refused("key_expired", key.id)
        if key.status == "paused":
            return refused("key_paused", key.id)
        shut = next((node for node in path if node.status != "active"), None)
        return None if shut is None else refused("account_paused", shut.id)

    def authorize(self, command: Authorize, now: int) -> Said:
        books, gate, idem = self.books, command.gate, command.idempotency
        before = books.holds.get(command.hold_id)
        if before is not None:
            same = isinstance(before.asked, Authorize) and same_call(before.asked, command)
            return held(before, repeated=True) if same else {"kind": "conflict"}
        no = self.gate_refuses(gate, now)
        if no is not None:
            return no
        place = ("", "") if idem is None else (gate.key.id, idem.name)
        taken = books.taken.get(place)
        if taken is not None and idem is not None and (taken.fingerprint != idem.fingerprint or taken.request != command.request_id):
            state = taken.state if taken.fingerprint == idem.fingerprint else "mismatch"
            answer = taken.answer if taken.fingerprint == idem.fingerprint else None
            return {"kind": "repeated", "state": state, "request_id": taken.request, "answer": answer}
        wallet, model = books.wallet_of(gate.key.account), f"{command.provider}/{command.model}"
        caps = books.caps_on(gate.key.id, model, run_caps(gate))
        rooms = [self.wallet_room(wallet, now), *(self.cap_room(cap, now) for cap in caps if cap.hard)]
        units = self.fit(command.bound, rooms, command.ceiling, now)
        if not isinstance(units, int):
            return units
        amounts = bound_at(command.bound, units)
        least = min(room.room for room in rooms if room.measure == "price")
        counted = self.counters_of(command)
        hold = Held(command, now, amounts, units, books.draw(wallet, amounts["price"], now), now + command.lasts, counted)
        books.holds[command.hold_id] = hold
        if idem is not None:
            books.taken[place] = Taken(idem.fingerprint, command.request_id)
        self.wrote = True
        return held(hold) | {"available": max(least - amounts["price"], 0)}

    def counters_of(self, command: Authorize | RecordEvent) -> set[str]:
        key, model = command.gate.key.id, f"{command.provider}/{command.model}"
        counted = {name for name, counter in self.books.counters.items() if self.books.counts(counter, key, model, command.run)}
        return counted | ({cap_of_run(key, command.run)} if command.run else set())

    def extend(self, command: Extend, now: int) -> Said:
        hold = self.books.holds.get(command.hold_id)
        if hold is None or hold.key != command.gate.key.id:
            return refused("unknown_hold", command.hold_id)
        if hold.state != "open":
            return refused("hold_closed", command.hold_id)
        no = self.gate_refuses(command.gate, now)
        if no is not None:
            return no
        wallet = self.books.wallet_of(hold.asked.gate.key.account)
        caps = self.books.caps_on(hold.key, hold.model, run_caps(command.gate))
        counting = [cap for cap in caps if cap.hard and cap.measure != "requests"]
        hold.state = "growing"  # what it holds itself is there, but does not come back by waiting
        rooms = [self.wallet_room(wallet, now), *(self.cap_room(cap, hold.at) for cap in counting)]
        hold.state = "open"
        units = self.fit(command.more, rooms, None, hold.at)
        if not isinstance(units, int):
            return units
        more = bound_at(command.more, units) | {"requests": 0}
        legs = self.books.draw(wallet, more["price"], now)
        hold.amounts = {name: hold.amounts[name] + more[name] for name in more}
        hold.units += units
        hold.deadline = max(hold.deadline, now + (command.lasts or 0))
        hold.legs = joined(hold.legs, legs)
        return held(hold)

    def hand_over(self, command: HandOver, now: int) -> Said:
        hold = self.books.holds.get(command.hold_id)
        if hold is None:
            return refused("unknown_hold", command.hold_id)
        self.store(hold, command.objects)
        if hold.state != "open":
            return {"kind": "unchanged"}
        if hold.handed:
            return held(hold, repeated=True)
        hold.handed, hold.deadline = True, now + command.lasts
        if command.answer is not None:
            self.close_name(hold, "done", command.answer)
        self.wrote = True
        return held(hold)

    def store(self, hold: Held, objects: tuple[StoredObject, ...]) -> None:
        """An object stays whose it is."""
        for one in objects:
            self.wrote = True
            place, account = (hold.asked.provider, one.id), hold.asked.gate.key.account
            kind, owner, _ = self.books.objects.get(place, (one.kind, account, ""))
            if (kind, owner) == (one.kind, account):
                self.books.objects[place] = (kind, owner, one.facts)

    def capture(self, command: Capture, now: int) -> Said:
        hold = self.books.holds.get(command.hold_id)
        if hold is None:
            return refused("unknown_hold", command.hold_id)
        self.store(hold, command.objects)
        if hold.state == "expired" and hold.charge is not None and not hold.charge.revised:
            return self.revise(hold, command.result, run_caps(command.gate), command.answer, now)
        if hold.charge is not None:
            return told_again(hold.charge, command.result)
        self.charge(hold, command.result, run_caps(command.gate), now)
        hold.state = "captured"
        self.close_name(hold, "done", command.answer)
        return settled(hold)

    def release(self, command: Release, now: int) -> Said:
        hold = self.books.holds.get(command.hold_id)
        if hold is None:
            return refused("unknown_hold", command.hold_id)
        zero = Result("released", "exact", 0, 0, 0, 0, status=command.status, upstream_request_id=command.upstream_request_id)
        if hold.state == "expired" and hold.charge is not None and not hold.charge.revised:
            return self.revise(hold, zero, (), None, now)
        if hold.charge is not None:
            return told_again(hold.charge, zero)
        self.charge(hold, zero, (), now)
        hold.state = "released"
        self.close_name(hold, "free", None)
        return settled(hold)

    def expire(self, command: Expire, now: int) -> Said:
        hold = self.books.holds.get(command.hold_id)
        if hold is None or hold.state != "open" or (command.why == "deadline" and now < hold.deadline):
            return {"kind": "unchanged"}
        of = hold.amounts
        self.charge(hold, Result(command.why, "unknown", of["price"], of["cost"], of["cost"], of["tokens"]), (), now)
        hold.state = "expired"
        self.close_name(hold, "done", None)
        return settled(hold)

    def record(self, command: RecordEvent, now: int) -> Said:
        """Once, for ever: what it came to, or why not."""
        before = self.events.get(command.id)
        if before is not None:
            if before[0] != command.fingerprint:
                return {"kind": "conflict"}
            return before[1] if before[1]["kind"] == "refused" else before[1] | {"repeated": True}
        said = self.is_stale(command.gate)
        if said is not None:
            return said
        said = self.forbidden_then(command, now) or self.work_done(command, min(command.at, now), now)
        self.events[command.id] = (command.fingerprint, said)
        self.wrote = True
        return said

    def forbidden_then(self, command: RecordEvent, now: int) -> Said | None:
        key, at = self.books.keys[command.gate.key.id], command.at
        if at < now - 35 * UNIT_US["d"]:
            return refused("event_too_old")
        if at > now + 5 * UNIT_US["m"]:
            return refused("event_in_future")
        if key.status != "active" and at >= key.status_since:
            return refused(f"key_{key.status}", key.id)
        if key.expires_at is not None and key.expires_at <= at:
            return refused("key_expired", key.id)
        path = [self.books.accounts[name] for name in self.books.path(key.account)]
        shut = next((node for node in path if node.status != "active" and at >= node.status_since), None)
        return None if shut is None else refused("account_paused", shut.id)

    def work_done(self, command: RecordEvent, at: int, now: int) -> Said:
        """Counted at its time; paid from what there is now, as far as the caps of its time go."""
        books, result, key = self.books, command.result, command.gate.key.id
        wallet, model = books.wallet_of(command.gate.key.account), f"{command.provider}/{command.model}"
        caps = [cap for cap in books.caps_on(key, model, run_caps(command.gate)) if cap.hard and not cap.rate]
        needs = {"price": result.price, "cost": result.cost, "tokens": result.tokens, "requests": 1}
        rooms = [self.wallet_room(wallet, now), *(self.cap_room(cap, at) for cap in caps)]
        if command.when_short == "refuse" and any(needs[MEASURES[room.measure]] > room.room for room in rooms):
            return self.no_money(command.bound, rooms, needs, at)
        payable = Fraction(result.price)
        for room in rooms[1:]:
            need = needs[MEASURES[room.measure]]
            if need > max(room.room, 0):
                payable = min(payable, Fraction(result.price * max(room.room, 0), need))
        legs = books.draw(wallet, int(payable), now)
        counted = self.counters_of(command)
        run = {cap_of_run(key, command.run): Counter(key, "lifetime")} if command.run else {}
        late = any(not is_now((books.counters | run)[name], at, now) for name in counted)
        paid = sum(part for _, part in legs)
        charge = Booked(result, result.price, result.cost, result.tokens, legs)
        amounts = needs | {"price": paid}
        books.holds[command.hold_id] = Held(command, at, amounts, 1, legs, now, counted, "captured", charge)
        return {"kind": "recorded", "charge_id": command.hold_id, "price": result.price, "paid": paid, "late": late, "repeated": False}

    def charge(self, hold: Held, result: Result, of_run: tuple[Budget, ...], now: int) -> None:
        """The hold pays first, then what is free, as far as the caps go; nobody else's hold ever does."""
        legs = taken_from(hold.legs, result.price)
        legs = joined(legs, self.overage(hold, result, hold.amounts, of_run, now))
        hold.charge = Booked(result, result.price, result.cost, result.tokens, legs)
        self.wrote = True

    def overage(self, hold: Held, result: Result, covered: Amounts, of_run: tuple[Budget, ...], now: int) -> list[tuple[str, int]]:
        over = {
            "price": result.price - covered["price"],
            "cost": result.cost - covered["cost"],
            "tokens": result.tokens - covered["tokens"],
        }
        if over["price"] <= 0:
            return []
        payable = Fraction(over["price"])
        for cap in self.books.caps_on(hold.key, hold.model, of_run):
            beyond = over.get(MEASURES[cap.measure], 0)
            if cap.hard and not cap.rate and beyond > 0:
                room = max(self.cap_room(cap, hold.at).room, 0)
                payable = min(payable, Fraction(over["price"] * room, beyond))
        return self.books.draw(self.books.wallet_of(hold.asked.gate.key.account), int(payable), now)

    def revise(self, hold: Held, result: Result, of_run: tuple[Budget, ...], answer: bytes | None, now: int) -> Said:
        before = hold.charge
        assert before is not None
        price = max(result.price, before.refunded)
        kept = taken_from(before.legs, price)
        covered = {"price": before.paid, "cost": before.cost, "tokens": before.tokens}
        extra = self.overage(hold, msgspec.structs.replace(result, price=price), covered, of_run, now)
        hold.charge = Booked(result, price, result.cost, result.tokens, joined(kept, extra), before.refunded, revised=True)
        self.close_name(hold, "free" if result.outcome == "released" else "done", answer)
        self.wrote = True
        return settled(hold) | {"revised": True}

    def close_name(self, hold: Held, how: str, answer: bytes | None) -> None:
        """What becomes of the Idempotency-Key, if this request still has it."""
        idem = hold.asked.idempotency if isinstance(hold.asked, Authorize) else None
        place = (hold.key, "" if idem is None else idem.name)
        taken = self.books.taken.get(place)
        if taken is None or taken.request != hold.asked.request_id:
            return
        if how == "free":
            del self.books.taken[place]
        else:
            taken.state = "done"
            if answer is not None:
                taken.answer = answer

    # --- money without a call ------------------------------------------------------------------------------------------------------

    def own_wallet(self, name: str) -> Said | None:
        account = self.books.accounts.get(name)
        if account is None:
            return refused("unknown_account", name)
        return None if account.wallet == name else refused("no_own_wallet", name)

    def grant(self, command: GrantMoney, now: int) -> Said:
        no = self.own_wallet(command.wallet)
        if no is not None:
            return no
        if command.amount <= 0 or command.amount >= 2**62:
            return refused("invalid_amount", command.wallet)
        if command.expires_at is not None and command.expires_at <= max(now, command.effective_at):
            return refused("invalid_expiry", command.wallet)
        self.put(
            command.grant_id, command.wallet, command.kind, now, command.amount, command.priority, command.effective_at, command.expires_at
        )
        return done(command.amount)

    def put(
        self, name: str, wallet: str, kind: str, now: int, amount: int, priority: int = 0, begins: int = 0, ends: int | None = None
    ) -> None:
        self.books.blocks[name] = Block(name, wallet, kind, now, priority, begins, ends)
        self.books.movements.append((name, amount))

    def move(self, command: Move, now: int) -> Said:
        no = self.own_wallet(command.source) or self.own_wallet(command.target)
        if no is not None:
            return no
        if self.books.accounts[command.source].root != self.books.accounts[command.target].root:
            return refused("other_root", command.target)
        if command.source == command.target or command.amount <= 0:
            return refused("invalid_amount", command.source)
        available = self.books.available(command.source, now)
        if available < command.amount:
            return refused("exceeds_available", command.source, needed=command.amount, available=available)
        for number, (name, part) in enumerate(self.books.draw(command.source, command.amount, now)):
            old = self.books.blocks[name]
            self.books.movements.append((name, -part))
            self.put(f"grt_{command.id}_{number}", command.target, old.kind, now, part, old.priority, old.begins, old.ends)
        return done(command.amount)

    def adjust(self, command: Adjust, now: int) -> Said:
        no = self.own_wallet(command.wallet)
        if no is not None:
            return no
        if command.amount == 0:
            return refused("invalid_amount", command.wallet)
        available = self.books.available(command.wallet, now)
        if command.amount > 0:
            self.put(f"grt_{command.id}", command.wallet, "adjustment", now, command.amount)
        elif -command.amount > available:
            return refused("exceeds_available", command.wallet, needed=-command.amount, available=available)
        else:
            self.books.movements += [(name, -part) for name, part in self.books.draw(command.wallet, -command.amount, now)]
        return done(command.amount)

    def refund(self, command: Refund, now: int) -> Said:
        hold = self.books.holds.get(command.hold_id)
        if hold is None or hold.charge is None:
            return refused("unknown_charge", command.hold_id)
        left = hold.charge.paid - hold.charge.refunded
        amount = left if command.amount is None else command.amount
        if not 0 < amount <= left:
            return refused("exceeds_paid", command.hold_id, available=left)
        hold.charge.refunded += amount
        self.put(f"grt_{command.id}", self.books.wallet_of(hold.asked.gate.key.account), "refund", now, amount)
        return done(amount)

    def book_expiry(self, command: BookExpiry, now: int) -> Said:
        block = self.books.blocks.get(command.grant_id)
        if block is None or block.ends is None or now < block.ends or self.books.free(block.id) <= 0:
            return {"kind": "unchanged"}
        amount = self.books.free(block.id)
        self.books.expiries.append((block.id, amount))
        return done(amount)

    # --- who may spend what ----------------------------------------------------------------------------------------------------------

    def open_account(self, command: OpenAccount, now: int) -> Said:
        accounts, parent = self.books.accounts, command.parent
        if command.account_id in accounts:
            return refused("id_taken", command.account_id)
        if parent is not None and parent not in accounts:
            return refused("unknown_account", parent)
        if parent is not None and len(self.books.path(parent)) >= 8:
            return refused("too_deep", parent)
        root = command.account_id if parent is None else accounts[parent].root
        wallet = command.account_id if parent is None or command.own_wallet else accounts[parent].wallet
        accounts[command.account_id] = Account(command.account_id, root, wallet, now, parent=parent)
        return done(0)

    def edit_account(self, command: EditAccount, now: int) -> Said:
        before = self.books.accounts[command.account_id]
        if before.status == "closed":
            return refused("account_closed", before.id)
        self.books.accounts[before.id] = changed(before, command.changes, now)
        return done(0)

    def issue_key(self, command: IssueKey, now: int) -> Said:
        key = command.key
        if self.books.accounts[key.account].status == "closed":
            return refused("account_closed", key.account)
        self.books.keys[key.id], self.books.limits[key.id] = key, command.limit
        for window in ("lifetime", "day", "week", "month"):
            self.books.make_counter(Counter(key.id, window), now)
        self.make_counters(key.id, now)
        return done(0)

    def edit_key(self, command: EditKey, now: int) -> Said:
        before = self.books.keys[command.key_id]
        if before.status == "revoked":
            return refused("key_revoked", before.id)
        self.books.keys[before.id] = changed(before, command.changes, now)
        if command.limit != "":
            self.books.limits[before.id] = command.limit
        self.make_counters(before.id, now)
        return done(0)

    def set_budgets(self, command: SetBudgets, now: int) -> Said:
        self.books.budgets[command.scope] = command.budgets
        self.make_counters(command.scope, now)
        if command.scope in self.books.keys:
            self.books.keys[command.scope] = changed(self.books.keys[command.scope], {}, now)
        else:
            self.books.accounts[command.scope] = changed(self.books.accounts[command.scope], {}, now)
        return done(0)

    def make_counters(self, scope: str, now: int) -> None:
        for cap in self.books.caps_of(scope):
            self.books.make_counter(cap.counter, now)

    def publish(self, command: PublishBook, now: int) -> Said:
        if command.version <= self.books.book:
            return refused("not_newer")
        self.books.book = command.version
        return done(0)


# --- words -----------------------------------------------------------------------------------------------------------------------------


def content(command: Command) -> object:
    """A command without what the gateway draws up for it."""
    fields = {name: value for name, value in msgspec.structs.asdict(command).items() if name != DRAWN_UP.get(type(command))}
    return (type(command).__name__, fields)


def changed(before: T, changes: dict[str, object], now: int) -> T:
    since = {"status_since": now} if changes.get("status", before.status) != before.status else {}
    return msgspec.structs.replace(before, **changes, **since, rev=before.rev + 1)


def fits(bound: Bound, units: int, rooms: list[Room]) -> bool:
    amounts = bound_at(bound, units)
    return all(amounts[MEASURES[room.measure]] <= room.room for room in rooms)


def run_caps(gate: Gate | None) -> tuple[Budget, ...]:
    """The caps on a run: only its caller knows them."""
    return () if gate is None else tuple(cap for cap in gate.caps if cap.counter.filter.run)


def cap_of_run(key: str, run: str) -> str:
    return f"{key}/lifetime?run={run}"


def same_call(before: Authorize, now: Authorize) -> bool:
    def call(of: Authorize) -> tuple[object, ...]:
        asked = bound_at(of.bound, of.bound.units_max)["price"]
        return (of.request_id, of.attempt, of.gate.key.id, asked, of.provider, of.model, of.route, of.run)

    return call(before) == call(now)


def joined(legs: list[Leg], more: list[Leg]) -> list[Leg]:
    sums: dict[str, int] = {}
    for name, part in (*legs, *more):
        sums[name] = sums.get(name, 0) + part
    return list(sums.items())


def taken_from(legs: list[Leg], amount: int) -> list[Leg]:
    taken = []
    for name, part in legs:
        share = min(part, amount)
        amount -= share
        if share:
            taken.append((name, share))
    return taken


def told_again(charge: Booked, result: Result) -> Said:
    def told(of: Result) -> Result:
        return msgspec.structs.replace(of, flags="", timings="", price=0)

    raised = charge.asked.price < charge.price
    same_price = result.price == charge.price or (raised and result.price < charge.price)
    if told(charge.asked) != told(result) or not same_price:
        return {"kind": "conflict"}
    return booked(charge) | {"repeated": True}


def held(hold: Held, *, repeated: bool = False) -> Said:
    said = {"kind": "held", **hold.amounts, "units": hold.units, "legs": hold.legs, "state": hold.state, "deadline": hold.deadline}
    del said["requests"]
    return said | {"repeated": repeated}


def booked(charge: Booked) -> Said:
    return {
        "kind": "settled",
        "outcome": charge.asked.outcome,
        "price": charge.price,
        "paid": charge.paid,
        "written_off": charge.price - charge.paid,
        "cost": charge.cost,
        "tokens": charge.tokens,
        "legs": charge.legs,
        "refunded": charge.refunded,
        "is_revised": charge.revised,
        "repeated": False,
        "revised": False,
    }


def settled(hold: Held) -> Said:
    assert hold.charge is not None
    return booked(hold.charge)


def done(amount: int) -> Said:
    return {"kind": "done", "amount": amount, "repeated": False}
