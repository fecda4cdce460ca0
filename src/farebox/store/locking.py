"""What a batch locks on a database with other writers: wallets, then counters of rolling windows, then windows, each in one order (ledger.md §5).

From commands, and the holds they settle, to names; only `wallets_read` asks the database, for commands that do not say which wallet they are
about. Takes no lock itself. Everything else that a batch writes hangs off a wallet, and is safe under its lock.
"""

from collections.abc import Iterable

from farebox.ledger import rooms, windows
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
    RecordEvent,
    Refund,
    Release,
    SetBudgets,
)
from farebox.ledger.lasting import HandOver
from farebox.ledger.model import Key, WindowRef
from farebox.ledger.state import State
from farebox.store.database import Database

_OF_HOLDS = Authorize | HandOver | Capture | Release | Expire | Extend | Refund
_ROLLING = f"/{windows.ROLLING}"


def wallets_asked(commands: Iterable[Command]) -> list[str]:
    """The wallets that commands name."""
    found: set[str] = set()
    for command in commands:
        match command:
            case Authorize(gate=gate) | RecordEvent(gate=gate):
                found.add(gate.wallet)
            case GrantMoney(wallet=wallet) | Adjust(wallet=wallet):
                found.add(wallet)
            case Move(source=source, target=target):
                found |= {source, target}
            case _:
                pass
    return sorted(found)


def revisions_asked(commands: Iterable[Command]) -> list[str]:
    """The keys and accounts whose revisions say whether calls and events are still planned rightly."""
    gates = [command.gate for command in commands if isinstance(command, Authorize | RecordEvent)]
    return sorted({gate.key.id for gate in gates}.union(account.id for gate in gates for account in gate.path))


def holds_settled(commands: Iterable[Command]) -> list[str]:
    """The holds that commands name: what they draw on is in their rows."""
    return sorted({command.hold_id for command in commands if isinstance(command, _OF_HOLDS)})


def wallets_read(db: Database, command: Command) -> list[str]:
    """The wallets that an admin command is about without naming them. They may become more until they are locked."""
    match command:
        case SetBudgets(scope=scope) | EditKey(key_id=scope):
            return [row[0] for row in db.rows("wallets_below", scope)]
        case EditAccount(account_id=account_id) | IssueKey(key=Key(account=account_id)) | OpenAccount(parent=str(account_id)):
            return [row[2] for row in db.rows("read_account", account_id)]
        case BookExpiry(grant_id=grant_id):
            return [row[1] for row in db.rows("read_grant", grant_id)]
        case _:
            return []


def windows_of(state: State, commands: Iterable[Command], now: int) -> set[WindowRef]:
    """The windows that commands count in or look at, their holds having been read."""
    found: set[WindowRef] = set()
    for command in commands:
        match command:
            case Authorize(gate=gate):
                found.update(rooms.refs_of(gate, now), _capped(gate, now))
            case RecordEvent(gate=gate, at=at):
                moment = min(at, now)
                found.update(rooms.refs_of(gate, moment), _capped(gate, moment))
            case Capture(hold_id=hold_id, gate=over) | Extend(hold_id=hold_id, gate=over):
                hold = state.holds.get(hold_id)
                found.update(hold.windows if hold is not None else ())
                found.update(_capped(over, now if hold is None else hold.created_at) if over is not None else ())
            case Release(hold_id=hold_id) | Expire(hold_id=hold_id):
                hold = state.holds.get(hold_id)
                found.update(hold.windows if hold is not None else ())
            case _:
                pass
    return found


def windows_foreseen(commands: Iterable[Command], now: int) -> set[WindowRef]:
    """The windows that calls and events will count in, if they are decided at about this time: they must be there before they are locked."""
    return windows_of(State(), [command for command in commands if isinstance(command, Authorize | RecordEvent)], now)


def _capped(gate: Gate, at: int) -> Iterable[WindowRef]:
    counters = [cap.counter for cap in gate.caps]
    return [(counter.id, windows.start_of(counter.window, counter.timezone, at)) for counter in counters]


def counters_of(refs: Iterable[WindowRef]) -> list[str]:
    """The counters whose room is the sum of several windows: locked as a whole, because each of these alone says too little."""
    return sorted({counter for counter, _ in refs if _ROLLING in counter})
