"""Fills a state with the rows that commands need before they are decided: few set-based reads, only for what is not there already."""

from collections.abc import Iterable

import msgspec

from farebox.ledger import policies, rooms, windows
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
    HotCommand,
    IssueKey,
    Move,
    OpenAccount,
    RecordEvent,
    Refund,
    Release,
    SetBudgets,
)
from farebox.ledger.deltas import CommandRecorded
from farebox.ledger.lasting import HandOver
from farebox.ledger.model import Account, Budget, Counter, Hold, Key, Window
from farebox.ledger.plan import Policy
from farebox.ledger.state import History, State
from farebox.store import histories, rows
from farebox.store.database import Database

_OF_HOLDS = frozenset({Authorize, HandOver, Capture, Release, Expire})


class Loader:
    """Reads through the writer's own connection, inside its transaction."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def rows(self, state: State) -> int:
        """About how many rows a state keeps."""
        return len(state.holds) + len(state.windows) + len(state.grants) + len(state.revs)

    # --- hot commands ----------------------------------------------------------------------------------------------------------

    def hot(self, state: State, commands: list[Command], now: int) -> list[Command]:
        """Loads what calls and events look at; fills in the caps of captures that exceed their hold."""
        commands = self.settled(state, commands)
        self.admitted(state, commands, now)
        return commands

    def settled(self, state: State, commands: list[Command]) -> list[Command]:
        """Loads the holds that are settled, and with them which windows the commands will look at (`locking.py`)."""
        self.holds(state, {command.hold_id for command in commands if type(command) in _OF_HOLDS})  # type: ignore[union-attr]  # all of these have one
        return [self._with_gate(state, command, commands) if type(command) is Capture else command for command in commands]

    def admitted(self, state: State, commands: list[Command], now: int) -> None:
        """Loads what admits calls and events: revisions, wallets, the windows of caps."""
        if state.book_version is None:
            state.book_version = self._db.one("read_book_version")[0]
        authorizes: list[Authorize] = []
        events: list[RecordEvent] = []
        for command in commands:
            if type(command) is Authorize:
                authorizes.append(command)
            elif type(command) is RecordEvent:
                events.append(command)
        if authorizes:
            self._gates(state, authorizes, now)  # first: it forgets what rings have left behind, which what follows may need again
        for command in commands:
            if type(command) is Capture:
                self._over(state, command, now)
        if events:
            self._events(state, events, now)
        if state.charges:
            self._given_back(state, commands)

    def holds(self, state: State, ids: Iterable[str]) -> None:
        """Loads holds, and the charges of those that are closed."""
        missing = [hold_id for hold_id in ids if hold_id not in state.holds and hold_id not in state.absent]
        if not missing:
            return
        closed = []
        one = len(missing) == 1  # as nearly always while little is asked; a list costs a table of its own
        for row in self._db.rows("read_hold", missing[0]) if one else self._db.rows("read_holds", rows.text(missing)):
            hold = state.holds[row[0]] = rows.hold_of(row)
            if hold.state != "open":
                closed.append(hold.id)
        for row in self._db.rows("read_charges", rows.text(closed)) if closed else ():
            state.charges[row[0]] = rows.charge_of(row)

    def _with_gate(self, state: State, command: Capture, commands: list[Command]) -> Command:
        """A capture above its hold (or a revision) may draw on more, under the caps of now; one of a hold that is only being made, under its."""
        hold = state.holds.get(command.hold_id)
        if hold is None:
            made = [asked.gate for asked in commands if type(asked) is Authorize and asked.hold_id == command.hold_id]
            return msgspec.structs.replace(command, gate=made[0] if made else None)
        if _is_within(command, hold):
            return command
        return msgspec.structs.replace(command, gate=self._gate(hold, command.gate))

    def _gates(self, state: State, commands: list[Authorize], now: int) -> None:
        gates = {id(command.gate): command.gate for command in commands}.values()  # calls of one key and model share theirs
        self._payers(state, gates)
        for gate in gates:
            self._caps(state, gate, now, forgets=True)
        for command in commands:
            if command.idempotency is not None:
                self._replay(state, command.gate.key.id, command.idempotency.name)

    def _payers(self, state: State, gates: Iterable[Gate]) -> None:
        """The revisions of keys and of the accounts above them, and the wallets they draw on."""
        ids = {gate.key.id for gate in gates} | {account.id for gate in gates for account in gate.path}
        revisions = [name for name in ids if name not in state.revs]
        for name, rev in self._db.rows("read_revisions", rows.text(revisions)) if revisions else ():
            state.revs[name] = rev
        self._wallets(state, {gate.wallet for gate in gates})

    def _events(self, state: State, commands: Iterable[RecordEvent], now: int) -> None:
        """What became of events that came before, and the windows of each one's own time."""
        commands = sorted(commands, key=lambda command: command.at)
        missing = [command.id for command in commands if command.id not in state.commands]
        for row in self._db.rows("read_commands", rows.text(missing)) if missing else ():
            state.commands[row[0]] = CommandRecorded(row[0], row[1], row[2].encode(), row[3])
        self._payers(state, [command.gate for command in commands])
        for command in commands:
            self._caps(state, command.gate, min(command.at, now))

    def _wallets(self, state: State, wallets: set[str]) -> None:
        missing = [wallet for wallet in wallets if wallet not in state.read_wallets]
        if missing:
            for row in self._db.rows("read_drawable", rows.text(missing)):
                if row[0] not in state.grants:
                    state.add_grant(rows.grant_of(row))
            state.read_wallets.update(missing)

    def _caps(self, state: State, gate: Gate, now: int, *, forgets: bool = False) -> None:
        """The windows of caps at a moment. `forgets`: it is the present, so what rings have left behind is not kept."""
        refs = []
        for cap, ref in rooms.span_of(gate, now).caps:
            if ref is None:
                self._ring(state, cap.counter, now, forgets=forgets)
            elif ref not in state.windows:
                refs.append(ref)
        for row in self._db.rows("read_windows", rows.text(refs)) if refs else ():
            state.add_window(rows.window_of(row))
        for ref in refs:
            if ref not in state.windows:
                state.add_window(Window(*ref))

    def _ring(self, state: State, counter: Counter, now: int, *, forgets: bool) -> None:
        """Reads a ring once, from its oldest sub-window on; what it gains later, this writer adds itself."""
        since = windows.ring_start(counter.window, now)
        known = state.rings.get(counter.id, since + 1)
        if known <= since:
            if forgets and since - known > windows.rolling_length(counter.window):
                state.shorten_ring(counter.id, since)
            return
        for row in self._db.rows("read_ring", counter.id, since):
            state.add_window(rows.window_of(row))
        state.keep_ring(counter.id, since)

    def _over(self, state: State, command: Capture, now: int) -> None:
        """What a capture may draw on beyond its hold."""
        hold, gate = state.holds.get(command.hold_id), command.gate
        if gate is not None and (hold is None or not _is_within(command, hold)):
            self._wallets(state, {gate.wallet if hold is None else hold.wallet})
            self._caps(state, gate, now if hold is None else hold.created_at)

    def _given_back(self, state: State, commands: list[Command]) -> None:
        """The grants that revisions give back to: an exhausted one can be drawn again by the next command."""
        for command in commands:
            charge = state.charges.get(command.hold_id) if isinstance(command, Capture | Release) else None
            if charge is not None and not charge.revised and state.holds[charge.hold_id].state == "expired":
                for grant, _ in charge.legs:
                    self._grant(state, grant)

    def _grant(self, state: State, grant_id: str) -> None:
        for row in self._db.rows("read_grant", grant_id) if grant_id not in state.grants else ():
            state.add_grant(rows.grant_of(row))

    def _replay(self, state: State, key: str, name: str) -> None:
        if (key, name) not in state.replays:
            for row in self._db.rows("read_replay", key, name):
                state.replays[key, name] = rows.replay_of(row)

    def _gate(self, hold: Hold, planned: Gate | None) -> Gate:
        """The caps that stand on a hold's path now, and the cap on its run, which only its caller knows."""
        gate = self.policy(self._key(hold.key)).gate(f"{hold.provider}/{hold.model}", hold.run)
        of_run = [] if planned is None else [cap for cap in planned.caps if cap.counter.filter.run]
        return msgspec.structs.replace(gate, caps=(*gate.caps, *of_run), spans=[])

    def policy(self, key: Key) -> Policy:
        """All that is laid down for a key, as of this transaction."""
        path = self._path(key.account)
        scopes = [key.id, *(account.id for account in path)]
        counters = tuple(counter for scope in scopes for counter in self._counters(scope))
        budgets = tuple(budget for scope in scopes for budget in self._budgets(scope))
        return Policy(key, path, counters, budgets, self._db.one("read_book_version")[0])

    # --- all the others, one at a time -----------------------------------------------------------------------------------------

    def all(self, state: State, commands: list[Command], now: int) -> list[Command]:
        """Loads what any command looks at, into a state of its own."""
        commands = self.hot(state, commands, now)
        for command in commands:
            if not isinstance(command, HotCommand):
                for row in self._db.rows("read_command", command.id):
                    state.commands[row[0]] = CommandRecorded(row[0], row[1], row[2].encode(), row[3])
                self._one_command(state, command, now)
        return commands

    def _one_command(self, state: State, command: Command, now: int) -> None:  # noqa: C901, PLR0912 - one branch per command
        match command:
            case Extend(hold_id=hold_id, gate=gate):
                self.holds(state, {hold_id})
                for row in self._db.rows("read_revisions", rows.text([gate.key.id, *(a.id for a in gate.path)])):
                    state.revs[row[0]] = row[1]
                self._wallets(state, {gate.wallet})
                held = state.holds.get(hold_id)
                self._caps(state, gate, now if held is None else held.created_at)
            case OpenAccount(parent=parent, external_id=external_id):
                self._account_path(state, command.account_id)
                self._account_path(state, parent)
                self._external(state, external_id)
            case EditAccount(account_id=account_id, changes=changes):
                self._account_path(state, account_id)
                self._external(state, changes.get("external_id"))
            case IssueKey(key=key):
                self._account_path(state, key.account)
                for row in self._db.rows("read_key_by_hash", key.hash):
                    state.hashes[row[3]] = row[0]
                self._scope(state, key.id)
            case EditKey(key_id=key_id):
                self._scope(state, key_id)
                self._histories(state, key_id, [budget.counter for budget in policies.budgets_after(state, command)], now)
            case SetBudgets(scope=scope, budgets=budgets):
                self._scope(state, scope)
                self._histories(state, scope, [budget.counter for budget in budgets], now)
            case GrantMoney(wallet=wallet) | Adjust(wallet=wallet):
                self._account_path(state, wallet)
                self._wallets(state, {wallet})
            case Move(source=source, target=target):
                for wallet in (source, target):
                    self._account_path(state, wallet)
                self._wallets(state, {source, target})
            case Refund(hold_id=hold_id):
                self.holds(state, {hold_id})
            case BookExpiry(grant_id=grant_id):
                self._grant(state, grant_id)
                if grant_id in state.grants:
                    self._account_path(state, state.grants[grant_id].wallet)
            case _:
                pass

    def _histories(self, state: State, scope: str, counters: Iterable[Counter], now: int) -> None:
        """What new counters of a scope would have counted, had they been there."""
        known = state.counters.get(scope, {})
        for counter in counters:
            if counter.id in known or counter.id in state.histories or counter.scope != scope:
                continue
            try:
                windows.check(counter.window, counter.timezone)
            except windows.UnknownWindowError:
                continue
            state.histories[counter.id] = self._history(state, counter, now)

    def _history(self, state: State, counter: Counter, now: int) -> History:
        span, ids = histories.Span(counter, now), histories.unfinished(self._db, counter)
        self.holds(state, ids)
        found = [state.holds[hold_id] for hold_id in ids]
        ended = [(hold, state.charges[hold.id]) for hold in found if hold.state != "open"]
        spent = histories.taken_out(histories.spent(self._db, counter, span), span, ended)
        return History(spent, tuple((hold.id, windows.start_of(counter.window, counter.timezone, hold.created_at)) for hold in found))

    def _scope(self, state: State, scope: str) -> None:
        for row in self._db.rows("read_key", scope):
            state.keys[scope] = rows.key_of(row)
            state.revs[scope] = row[-1]
        self._account_path(state, scope)
        state.budgets[scope] = self._budgets(scope)
        state.counters[scope] = {counter.id: counter for counter in self._counters(scope)}

    def _account_path(self, state: State, account_id: object) -> None:
        at = account_id
        while at is not None and at not in state.accounts:
            row = self._db.one("read_account", at)
            if row is None:
                return
            account = state.accounts[row[0]] = rows.account_of(row)
            state.revs[account.id] = account.rev
            at = account.parent

    def _external(self, state: State, external_id: object) -> None:
        for row in self._db.rows("read_account_by_external_id", external_id) if external_id else ():
            state.external_ids[str(external_id)] = row[0]

    def _key(self, key_id: str) -> Key:
        return rows.key_of(self._db.one("read_key", key_id))

    def _path(self, account_id: str) -> tuple[Account, ...]:
        state = State()
        self._account_path(state, account_id)
        return state.path(account_id)

    def _budgets(self, scope: str) -> tuple[Budget, ...]:
        row = self._db.one("read_budgets", scope)
        return () if row is None else rows.budgets_of(row[0])

    def _counters(self, scope: str) -> list[Counter]:
        return [rows.counter_of(row) for row in self._db.rows("read_counters", scope)]


def _is_within(command: Capture, hold: Hold) -> bool:
    """Whether what a hold has set aside pays for its capture: nothing else is looked at then."""
    return hold.state == "open" and command.result.price <= hold.amount
