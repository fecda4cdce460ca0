"""Money that moves without a call: grants, moves, adjustments, refunds, expiry. Pure: (state, command, now) -> (outcome, deltas)."""

from farebox.ledger import rooms
from farebox.ledger.commands import Adjust, BookExpiry, Done, GrantMoney, Move, Refund, Refused, Unchanged
from farebox.ledger.deltas import ChargeRefunded, Delta, GrantChanged, GrantOpened, TransferBooked
from farebox.ledger.model import Account, Grant, Leg, Transfer
from farebox.ledger.settling import Decision
from farebox.ledger.state import State
from farebox.money import NANO_MAX


def _wallet(state: State, wallet: str) -> Account | Refused:
    account = state.accounts.get(wallet)
    if account is None:
        return Refused("unknown_account", scope=wallet)
    if account.wallet != account.id:
        return Refused("no_own_wallet", scope=wallet, detail=account.wallet)
    return account


def grant(state: State, command: GrantMoney, now: int) -> Decision:
    """Puts a block of credit in a wallet. The grant begins empty and its transfer fills it: amounts are always the sum of transfers."""
    account = _wallet(state, command.wallet)
    if isinstance(account, Refused):
        return account, []
    if not 0 < command.amount < NANO_MAX:
        return Refused("invalid_amount", scope=account.id, needed=command.amount), []
    if command.expires_at is not None and command.expires_at <= max(now, command.effective_at):
        return Refused("invalid_expiry", scope=account.id), []
    block = Grant(command.grant_id, account.id, command.kind, now, 0, command.priority, command.effective_at, command.expires_at)
    transfer = Transfer(
        _transfer_id(command.id),
        "top_up" if command.kind == "purchase" else "grant",
        account.id,
        account.root,
        now,
        command.amount,
        ((block.id, command.amount),),
        note=command.note,
        command=command.id,
    )
    return Done({"grant": block.id, "transfer": transfer.id, "wallet": account.id}, command.amount), [
        GrantOpened(block),
        GrantChanged(block.id, amount=command.amount),
        TransferBooked(transfer),
    ]


def _transfer_id(command_id: str) -> str:
    return f"trn_{command_id}"


def _take(state: State, wallet: str, amount: int, now: int) -> tuple[Leg, ...] | Refused:
    available = sum(block.available(now) for block in state.drawable(wallet))
    if amount > available:
        return Refused("exceeds_available", scope=wallet, needed=amount, available=available)
    return rooms.draw(state, wallet, amount, now)


def move(state: State, command: Move, now: int) -> Decision:
    """Moves available money to another wallet of the same root; each part keeps its kind, priority, start and expiry."""
    source, target = _wallet(state, command.source), _wallet(state, command.target)
    for side in (source, target):
        if isinstance(side, Refused):
            return side, []
    assert isinstance(source, Account) and isinstance(target, Account)  # noqa: S101, PT018 - tells the type checker what the loop found
    if source.root != target.root:
        return Refused("other_root", scope=target.id, detail=target.root), []
    if source.id == target.id or not 0 < command.amount < NANO_MAX:
        return Refused("invalid_amount", scope=source.id, needed=command.amount), []
    legs = _take(state, source.id, command.amount, now)
    if isinstance(legs, Refused):
        return legs, []
    deltas: list[Delta] = [GrantChanged(grant_id, amount=-part) for grant_id, part in legs]
    both: list[Leg] = [(grant_id, -part) for grant_id, part in legs]
    for number, (grant_id, part) in enumerate(legs):
        old = state.grants[grant_id]
        block = Grant(f"grt_{command.id}_{number}", target.id, old.kind, now, 0, old.priority, old.effective_at, old.expires_at)
        deltas += [GrantOpened(block), GrantChanged(block.id, amount=part)]
        both.append((block.id, part))
    transfer = Transfer(
        _transfer_id(command.id),
        "move",
        source.id,
        source.root,
        now,
        command.amount,
        tuple(both),
        other_wallet=target.id,
        note=command.note,
        command=command.id,
    )
    deltas.append(TransferBooked(transfer))
    return Done({"transfer": transfer.id, "from": source.id, "to": target.id}, command.amount), deltas


def adjust(state: State, command: Adjust, now: int) -> Decision:
    """Corrects a wallet up (a grant) or down (from what is available, never from what is held)."""
    account = _wallet(state, command.wallet)
    if isinstance(account, Refused):
        return account, []
    if command.amount == 0 or abs(command.amount) >= NANO_MAX:
        return Refused("invalid_amount", scope=account.id, needed=command.amount), []
    deltas: list[Delta] = []
    if command.amount > 0:
        block = Grant(f"grt_{command.id}", account.id, "adjustment", now, 0)
        legs: tuple[Leg, ...] = ((block.id, command.amount),)
        deltas.append(GrantOpened(block))
    else:
        taken = _take(state, account.id, -command.amount, now)
        if isinstance(taken, Refused):
            return taken, []
        legs = tuple((grant_id, -part) for grant_id, part in taken)
    deltas += [GrantChanged(grant_id, amount=part) for grant_id, part in legs]
    transfer = Transfer(
        _transfer_id(command.id),
        "adjustment",
        account.id,
        account.root,
        now,
        command.amount,
        legs,
        note=command.note,
        command=command.id,
    )
    deltas.append(TransferBooked(transfer))
    return Done({"transfer": transfer.id, "wallet": account.id}, command.amount), deltas


def refund(state: State, command: Refund, now: int) -> Decision:
    """Opens a `refund` grant in the wallet that paid; all refunds of a charge together give back at most what was paid."""
    charge = state.charges.get(command.hold_id)
    if charge is None:
        return Refused("unknown_charge", scope=command.hold_id), []
    left = charge.paid - charge.refunded
    amount = left if command.amount is None else command.amount
    if amount <= 0 or amount > left:
        return Refused("exceeds_paid", scope=charge.hold_id, needed=amount, available=left), []
    block = Grant(f"grt_{command.id}", charge.wallet, "refund", now, 0)
    transfer = Transfer(
        _transfer_id(command.id),
        "refund",
        charge.wallet,
        charge.root,
        now,
        amount,
        ((block.id, amount),),
        charge=charge.hold_id,
        note=command.note,
        command=command.id,
    )
    return Done({"grant": block.id, "transfer": transfer.id, "charge": charge.hold_id}, amount), [
        GrantOpened(block),
        GrantChanged(block.id, amount=amount),
        ChargeRefunded(state.holds[charge.hold_id], amount),
        TransferBooked(transfer),
    ]


def book_expiry(state: State, command: BookExpiry, now: int) -> Decision:
    """Books what is left in a grant past its expiry. It could not be drawn since that moment: this only writes it down."""
    block = state.grants.get(command.grant_id)
    if block is None or block.expires_at is None or now < block.expires_at or block.free <= 0:
        return Unchanged("nothing to expire"), []
    account = state.accounts[block.wallet]
    amount = block.free
    transfer = Transfer(
        _transfer_id(command.id), "expiry", account.id, account.root, now, amount, ((block.id, amount),), command=command.id
    )
    return Done({"transfer": transfer.id, "grant": block.id}, amount), [GrantChanged(block.id, expired=amount), TransferBooked(transfer)]
