"""Reads for people: accounts, keys, balances, charges, transfers, in the very numbers that gate. Through a connection of its own.

Owns reading and adding up. Does not own who may see what (a `scope` is handed in), nor how it is shown. One instance serves one thread
at a time, and never waits for the writer. What counts now (effective, expired, this window) is decided by the ledger's own functions.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from farebox import limits
from farebox.clock import US_PER_DAY, US_PER_MINUTE, US_PER_MS, US_PER_S, Clock
from farebox.errors import CommandRefused
from farebox.ids import first_id
from farebox.ledger import rooms, windows
from farebox.ledger.commands import Done, Refused
from farebox.ledger.model import KEY_WINDOWS, Account, Budget, Charge, Counter, Grant, Hold, Key, Transfer, Window
from farebox.ledger.plan import Policy
from farebox.ledger.state import State
from farebox.store import rows
from farebox.store.database import Place, Row, TookTooLongError
from farebox.store.loading import Loader
from farebox.store.opening import connect
from farebox.store.reading import Books, Reader

ALWAYS = 2**62
_MARGIN_MS = 10 * US_PER_MINUTE // US_PER_MS
"""A hold's id is as old as its request, and a request may have waited before it was held."""
_LAST_MS = 2**47
_outcome = msgspec.json.Decoder(Done | Refused).decode


class AdminKey(msgspec.Struct, frozen=True):
    """Who administers: everything, or (`scope`) one account and all below it."""

    hash: str
    id: str
    name: str
    scope: str | None
    created_at: int
    revoked_at: int | None


class Wallet(msgspec.Struct, frozen=True):
    """A wallet at a moment. `granted == spent + held + expired + pending + available`."""

    id: str
    granted: int
    spent: int
    held: int
    expired: int
    pending: int
    available: int
    written_off: int
    grants: tuple[Grant, ...]
    at: int


class CapView(msgspec.Struct, frozen=True):
    """A budget and its current window. `room` is what the gate compares with: the limit, less what is spent and held."""

    budget: Budget
    spent: int
    held: int
    room: int
    renews_at: int | None


class KeyView(msgspec.Struct, frozen=True):
    """A key and its numbers: the windows it has from birth, by name; its own cap; what it could spend."""

    key: Key
    account: Account
    windows: dict[str, Window]
    limit: CapView | None
    available: int
    """The least of the wallet and the room of every hard cap that counts all its calls."""
    exposure: int


class Entry(msgspec.Struct, frozen=True):
    """A charge and the hold it ended."""

    charge: Charge
    hold: Hold


class Selection(msgspec.Struct, frozen=True):
    """Which charges or holds: `before` is the last id of the page before."""

    scope: str | None = None
    begins: int = 0
    ends: int = ALWAYS
    key: str | None = None
    account: str | None = None
    outcome: str | None = None
    request_id: str | None = None
    before: str | None = None


class Reports:
    """One connection."""

    def __init__(self, place: Place, clock: Clock) -> None:
        self._db = connect(place)
        self._load = Loader(self._db)
        self._clock = clock
        self.reader = Reader(place)

    def close(self) -> None:
        self._db.close()
        self.reader.close()

    def now(self) -> int:
        """The moment that the ledger would decide at: its time never goes back."""
        return self._db.now(self._clock)

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Everything read within is of one commit, and takes no longer than a report may. Raises CommandRefused (`report_too_long`)."""
        try:
            with self._db.snapshot(limits.report_s_max):
                yield
        except TookTooLongError:
            problem = f"This report would take longer than {limits.report_s_max} s: ask for a shorter time or for less."
            raise CommandRefused("report_too_long", problem) from None

    @property
    def sql(self) -> Mapping[str, str]:
        """The statements of this store, by name."""
        return self._db.sql

    def select(self, sql: str, values: dict[str, Any]) -> Sequence[Row]:
        """Rows of a statement that was put together from named ones (`store.usage_reports`)."""
        return self._db.select(sql, values)

    # --- who -------------------------------------------------------------------------------------------------------------------

    def admin_key(self, key_hash: str) -> AdminKey | None:
        row = self._db.one("read_admin_key", key_hash)
        return None if row is None else AdminKey(*row)

    def admin_keys(self) -> list[AdminKey]:
        """Those that are good for the whole installation."""
        return [AdminKey(*row) for row in self._db.rows("list_admin_keys")]

    def account(self, account_id: str) -> Account | None:
        row = self._db.one("read_account", account_id)
        return None if row is None else rows.account_of(row)

    def account_by_external_id(self, external_id: str) -> Account | None:
        row = self._db.one("read_account_by_external_id", external_id)
        return None if row is None else rows.account_of(row)

    def within(self, account_id: str, scope: str | None) -> bool:
        """Whether an account is a scope's, or below it."""
        return scope is None or any(row[0] == scope for row in self._db.rows("report_path", {"account": account_id}))

    def accounts(self, scope: str | None, parent: str | None, after: str, count: int) -> list[Account]:
        values = {"scope": scope, "parent": parent, "after": after, "rows": count}
        return [rows.account_of(row) for row in self._db.rows("report_accounts", values)]

    def key(self, name: str) -> Key | None:
        """A key by its id, or by the hash of its secret."""
        row = self._db.one("read_key", name) or self._db.one("read_key_by_hash", name)
        return None if row is None else rows.key_of(row)

    def keys(self, scope: str | None, account: str | None, statuses: Sequence[str], after: str, count: int, offset: int) -> list[Key]:
        values = {"scope": scope, "account": account, "statuses": rows.text(statuses), "after": after, "rows": count, "offset": offset}
        return [rows.key_of(row) for row in self._db.rows("report_keys", values)]

    def policy(self, key: Key) -> Policy:
        return self._load.policy(key)

    def command(self, command_id: str) -> Done | Refused | None:
        """What an outside command came to, if it was ever given."""
        row = self._db.one("read_command", command_id)
        return None if row is None else _outcome(row[2])

    # --- money -----------------------------------------------------------------------------------------------------------------

    def wallet(self, wallet_id: str, now: int) -> Wallet:
        grants = [rows.grant_of(row) for row in self._db.rows("read_wallet", wallet_id)]
        over = [grant for grant in grants if grant.expires_at is not None and now >= grant.expires_at]
        pending = sum(grant.free for grant in grants if now < grant.effective_at and grant not in over)
        return Wallet(
            wallet_id,
            granted=sum(grant.amount for grant in grants),
            spent=sum(grant.spent for grant in grants),
            held=sum(grant.held for grant in grants),
            expired=sum(grant.expired for grant in grants) + sum(grant.free for grant in over),
            pending=pending,
            available=sum(grant.available(now) for grant in grants),
            written_off=int(self._db.one("report_written_off", wallet_id)[0]),
            grants=tuple(grants),
            at=now,
        )

    def credits(self, scope: str | None) -> tuple[int, int]:
        """What came in and what was spent, in all wallets of a scope."""
        granted, spent = self._db.one("report_credits", {"scope": scope})
        return granted, spent

    def budgets(self, scope: str) -> tuple[Budget, ...]:
        row = self._db.one("read_budgets", scope)
        return () if row is None else rows.budgets_of(row[0])

    def caps(self, budgets: Sequence[Budget], now: int) -> list[CapView]:
        """Budgets with the numbers of their current windows, worked out by the gate's own function."""
        state = State()
        for budget in budgets:
            self._fill(state, budget.counter, now)
        found = []
        for budget in budgets:
            room = rooms.cap_room(state, budget, now)
            found.append(CapView(budget, budget.limit - room.room - room.held, room.held, room.room, room.renews_at))
        return found

    def _fill(self, state: State, counter: Counter, now: int) -> None:
        if counter.window.startswith(windows.ROLLING):
            read = self._db.rows("read_ring", counter.id, windows.ring_start(counter.window, now))
        else:
            read = self._db.rows("read_key_windows", counter.id, windows.start_of(counter.window, counter.timezone, now))
        for row in read:
            window = rows.window_of(row)
            state.add_window(window)

    def key_view(self, key: Key, now: int) -> KeyView:
        policy = self._load.policy(key)
        wallet = self.wallet(policy.path[0].wallet, now)
        state = State()
        counted = {window: Counter(key.id, window) for window in KEY_WINDOWS}
        for counter in counted.values():
            self._fill(state, counter, now)
        found = {window: state.window(counter.id, windows.start_of(window, "UTC", now)) for window, counter in counted.items()}
        caps = self.caps(policy.budgets, now)
        bounding = [cap for cap in caps if _bounds_all(cap.budget, key)]
        free = [wallet.available, *(cap.room for cap in bounding)]
        return KeyView(
            key,
            policy.path[0],
            found,
            next((cap for cap in caps if cap.budget.is_key_limit), None),
            max(min(free), 0),
            _exposure(policy, found["lifetime"], wallet, bounding),
        )

    def last_used(self, keys: Sequence[Key]) -> dict[str, int]:
        """When keys were last used: their day windows say on which day, the holds of that day when."""
        days: dict[int, list[str]] = {}
        for key in keys:
            (day,) = self._db.one("report_last_day", Counter(key.id, "day").id)
            if day is not None:
                days.setdefault(day, []).append(key.id)
        used: dict[str, int] = {}
        for day, ids in days.items():
            used |= dict.fromkeys(ids, day)
            found = self._db.rows("report_last_used", {**span(day, day + US_PER_DAY), "keys": rows.text(ids)})
            used |= {key: at for key, at in found}  # noqa: C416 - rows are sequences, not pairs, to the type checker
        return used

    # --- what happened ---------------------------------------------------------------------------------------------------------

    def charges(self, chosen: Selection, count: int) -> list[Entry]:
        """Newest first."""
        values = {**_range(chosen), "outcome": chosen.outcome, "rows": count}
        return [Entry(rows.charge_of(row[:28]), rows.hold_of(row[28:])) for row in self._db.rows("report_charges", values)]

    def charge(self, hold_id: str) -> Entry | None:
        hold = self.hold(hold_id)
        row = self._db.one("read_charges", rows.text([hold_id]))
        return None if row is None or hold is None else Entry(rows.charge_of(row), hold)

    def hold(self, hold_id: str) -> Hold | None:
        row = self._db.one("read_holds", rows.text([hold_id]))
        return None if row is None else rows.hold_of(row)

    def holds(self, chosen: Selection, state: str | None, count: int) -> list[Hold]:
        """Newest first."""
        values = {**_range(chosen), "rows": count}
        for name in ("begins", "ends"):
            values.pop(name)
        found = self._db.rows("report_open_holds", values) if state == "open" else self._db.rows("report_holds", values | {"state": state})
        return [rows.hold_of(row) for row in found]

    def orphans(self, lost_s: int, count: int) -> list[str]:
        """Open holds of processes that have not been heard of for so long; on SQLite of any process, for whoever knows that none runs."""
        return [row[0] for row in self._db.rows("orphaned_holds", "", count, lost_s * US_PER_S)]

    def attempts(self, request_id: str) -> list[tuple[Hold, Charge | None]]:
        """A request's holds in order, each with its charge once there is one."""
        values = {**_ids(request_id), "request": request_id}
        ids = rows.text([row[0] for row in self._db.rows("report_request", values)])
        charges = {row[0]: rows.charge_of(row) for row in self._db.rows("read_charges", ids)}
        holds = sorted(
            (rows.hold_of(row) for row in self._db.rows("read_holds", ids)),
            key=lambda hold: hold.attempt,
        )
        return [(hold, charges.get(hold.id)) for hold in holds]

    def transfers(self, scope: str | None, account: str | None, kind: str | None, before: tuple[int, str], count: int) -> list[Transfer]:
        """Newest first."""
        values = {"scope": scope, "account": account, "kind": kind, "before_at": before[0], "before_id": before[1], "rows": count}
        return [rows.transfer_of(row) for row in self._db.rows("report_transfers", values)]

    def transfer(self, transfer_id: str) -> Transfer | None:
        row = self._db.one("report_transfer", transfer_id)
        return None if row is None else rows.transfer_of(row)

    # --- prices ----------------------------------------------------------------------------------------------------------------

    def book_version(self) -> int:
        return self.reader.book_version()

    def books(self, version: int | None = None) -> Books:
        return self.reader.books(version)

    def book_note(self, version: int) -> tuple[int, str] | None:
        """When a version of the price book was published, and what was noted then."""
        row = self._db.one("report_book", version)
        return None if row is None else (row[1], row[2])


def span(begins: int, ends: int) -> dict[str, Any]:
    """A stretch of time, and the ids that what was held in it can have."""
    first = first_id("hold", max(begins // US_PER_MS - _MARGIN_MS, 0))
    last = first_id("hold", min(ends // US_PER_MS + 1, _LAST_MS))
    return {"begins": begins, "ends": ends, "first": first, "last": last}


def _ids(request_id: str) -> dict[str, str]:
    stem = f"hold_{request_id.removeprefix('req_')}"
    return {"first": stem, "last": f"{stem}~"}


def _range(chosen: Selection) -> dict[str, Any]:
    """A selection as the statements' parameters: from the oldest id up to, not including, the newest."""
    values = span(chosen.begins, chosen.ends)
    if chosen.begins == 0:
        values["first"] = ""
    if chosen.ends >= ALWAYS:
        values["last"] = "~"
    if chosen.request_id is not None:
        values |= _ids(chosen.request_id)
    if chosen.before is not None:
        values["last"] = min(values["last"], chosen.before)
    return {**values, "scope": chosen.scope, "key": chosen.key, "account": chosen.account}


def _bounds_all(budget: Budget, key: Key) -> bool:
    """Whether a budget is a hard cap in dollars of price on every call that the key can make."""
    chosen = budget.counter.filter
    everything = not chosen.models and not chosen.run and chosen.counts_tags(key.tags)
    return budget.hard and not budget.rate and budget.measure == "price" and everything


def _exposure(policy: Policy, lifetime: Window, wallet: Wallet, bounding: Sequence[CapView]) -> int:
    """The most that can still be spent with a key from now on, before a window renews or money comes in: all that is in its wallet, and
    under every hard cap that counts all its calls, spent by nobody yet. What is held counts, because it may be given back and be spent
    by this key. Of a key that may not spend now it is what its open holds have.
    """
    key = policy.key
    expired = key.expires_at is not None and wallet.at >= key.expires_at
    if expired or key.status != "active" or any(account.status != "active" for account in policy.path):
        return lifetime.price_held
    unspent = sum(g.amount - g.spent - g.expired for g in wallet.grants if g.is_effective(wallet.at))
    lapsing = sum(g.held for g in wallet.grants if not g.is_effective(wallet.at))  # what is held keeps its money past the expiry
    return max(min(unspent + lapsing, *(cap.room + cap.held for cap in bounding), ALWAYS), 0)
