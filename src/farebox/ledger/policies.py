"""Who may spend what: accounts, keys, budgets, the price book's version. Pure: (state, command, now) -> (outcome, deltas).

Every edit raises the revision of what it touches, so that calls planned before it are planned again.
"""

from typing import Literal, TypeVar

import msgspec

from farebox import limits
from farebox.ledger import windows
from farebox.ledger.commands import Done, EditAccount, EditKey, IssueKey, OpenAccount, PublishBook, Refused, SetBudgets
from farebox.ledger.deltas import (
    AccountWritten,
    BookPublished,
    BudgetsWritten,
    CounterMade,
    Delta,
    HoldCounted,
    KeyWritten,
    WindowBackfilled,
    WindowsChanged,
)
from farebox.ledger.model import CONCURRENT, KEY_WINDOWS, NOTHING, Account, Budget, Counter, Key, Status
from farebox.ledger.settling import Decision
from farebox.ledger.state import State

T = TypeVar("T", Account, Key)
_ACCOUNT_FIXED = {"id", "root", "wallet", "parent", "created_at", "rev"}
_KEY_FIXED = {"id", "account", "root", "created_at", "rev"}
_RATE_WINDOW = "rolling:1m"


def open_account(state: State, command: OpenAccount, now: int) -> Decision:
    """Opens an account at its place in the tree, which it keeps."""
    if command.account_id in state.accounts:
        return Refused("id_taken", scope=command.account_id), []
    if command.external_id is not None and command.external_id in state.external_ids:
        return Refused("external_id_taken", scope=state.external_ids[command.external_id], detail=command.external_id), []
    root, wallet = command.account_id, command.account_id
    if command.parent is not None:
        parent = state.accounts.get(command.parent)
        if parent is None:
            return Refused("unknown_account", scope=command.parent), []
        if len(state.path(parent.id)) >= limits.account_depth_max:
            return Refused("too_deep", scope=parent.id, available=limits.account_depth_max), []
        root = parent.root
        wallet = command.account_id if command.own_wallet else parent.wallet
    account = Account(
        command.account_id,
        root,
        wallet,
        now,
        parent=command.parent,
        name=command.name,
        kind=command.kind,
        external_id=command.external_id,
        status_since=now,
        markup_basis_points=command.markup_basis_points,
        markup_fixed_nano=command.markup_fixed_nano,
        metadata=command.metadata,
    )
    return Done({"account": account.id, "wallet": wallet}), [AccountWritten(account)]


def edit_account(state: State, command: EditAccount, now: int) -> Decision:
    """Changes an account's name, status, markup or metadata."""
    account = state.accounts.get(command.account_id)
    if account is None:
        return Refused("unknown_account", scope=command.account_id), []
    fixed = _ACCOUNT_FIXED & command.changes.keys()
    if fixed:
        return Refused("fixed_at_creation", scope=account.id, detail=", ".join(sorted(fixed))), []
    if account.status == "closed":
        return Refused("account_closed", scope=account.id), []
    taken = state.external_ids.get(str(command.changes.get("external_id") or ""))
    if taken is not None and taken != account.id:
        return Refused("external_id_taken", scope=taken), []
    since = {"status_since": now} if command.changes.get("status", account.status) != account.status else {}
    after = _changed(account, command.changes | since, never="revoked")
    if isinstance(after, Refused):
        return after, []
    return Done({"account": account.id}, status=after.status), [AccountWritten(after)]


def _changed(before: T, changes: dict[str, object], *, never: Status) -> T | Refused:
    """The object with other values and its next revision. A field it does not have, or a value that it cannot have, is refused."""
    unknown = changes.keys() - set(before.__struct_fields__)
    if unknown:
        return Refused("invalid_change", scope=before.id, detail=f"unknown: {', '.join(sorted(unknown))}")
    try:
        after = msgspec.convert(msgspec.to_builtins(before) | changes | {"rev": before.rev + 1}, type(before))
    except msgspec.ValidationError as problem:
        return Refused("invalid_change", scope=before.id, detail=str(problem))
    if after.status == never:
        return Refused("invalid_change", scope=before.id, detail=f"status: {after.status}")
    return after


def issue_key(state: State, command: IssueKey, now: int) -> Decision:
    """Makes a key of an account, with its own cap if it has one."""
    key = command.key
    account = state.accounts.get(key.account)
    if account is None:
        return Refused("unknown_account", scope=key.account), []
    if account.status == "closed":
        return Refused("account_closed", scope=account.id), []
    if key.id in state.keys or key.hash in state.hashes:
        return Refused("id_taken", scope=key.id), []
    key = msgspec.structs.replace(key, root=account.root, created_at=now, status_since=now, rev=1)
    budgets = own_budgets(key, command.limit)
    problem = _check(budgets)
    if problem is not None:
        return problem, []
    counters = [Counter(key.id, window) for window in KEY_WINDOWS]
    deltas: list[Delta] = [KeyWritten(key), *(CounterMade(counter) for counter in counters)]
    deltas += [
        CounterMade(counter) for counter in {budget.counter.id: budget.counter for budget in budgets}.values() if counter not in counters
    ]
    return Done({"key": key.id, "account": account.id}, status=key.status), [*deltas, BudgetsWritten(key.id, budgets)]


def own_budgets(key: Key, limit: int | None) -> tuple[Budget, ...]:
    """The caps that a key's own fields express: its limit, and its rates."""
    budgets = [] if limit is None else [Budget(Counter(key.id, key.limit_reset or windows.LIFETIME), limit, is_key_limit=True)]
    per_minute = Counter(key.id, _RATE_WINDOW)
    if key.requests_per_minute is not None:
        budgets.append(Budget(per_minute, key.requests_per_minute, "requests", rate="requests_per_minute"))
    if key.tokens_per_minute is not None:
        budgets.append(Budget(per_minute, key.tokens_per_minute, "tokens", rate="tokens_per_minute"))
    if key.concurrent is not None:
        budgets.append(Budget(Counter(key.id, windows.LIFETIME), key.concurrent, "requests", rate=CONCURRENT))
    return tuple(budgets)


def edit_key(state: State, command: EditKey, now: int) -> Decision:
    """Changes a key: pause, resume, revoke, rotate (a new hash), its cap, its rates, what it may use. Revoked is for ever."""
    key = state.keys.get(command.key_id)
    if key is None:
        return Refused("unknown_key", scope=command.key_id), []
    fixed = _KEY_FIXED & command.changes.keys()
    if fixed:
        return Refused("fixed_at_creation", scope=key.id, detail=", ".join(sorted(fixed))), []
    if key.status == "revoked":
        return Refused("key_revoked", scope=key.id), []
    since = {"status_since": now} if command.changes.get("status", key.status) != key.status else {}
    after = _changed(key, command.changes | since, never="closed")
    if isinstance(after, Refused):
        return after, []
    deltas = _rebudget(state, key.id, _own_and_other(state, after, command.limit))
    if isinstance(deltas, Refused):
        return deltas, []
    return Done({"key": key.id}, status=after.status), [KeyWritten(after), *deltas]


def budgets_after(state: State, command: EditKey) -> tuple[Budget, ...]:
    """A key's budgets once it is edited so: none of them is new if it is only paused. None at all, if the edit is refused."""
    key = state.keys.get(command.key_id)
    after = None if key is None else _changed(key, command.changes, never="closed")
    return () if after is None or isinstance(after, Refused) else _own_and_other(state, after, command.limit)


def _own_and_other(state: State, key: Key, limit: int | Literal[""] | None) -> tuple[Budget, ...]:
    """What a key's own fields express, its limit being as it was (`""`) or another, and the budgets that were set besides."""
    before = state.budgets.get(key.id, ())
    kept = next((budget.limit for budget in before if budget.is_key_limit), None)
    others = tuple(budget for budget in before if not budget.is_key_limit and not budget.rate)
    return (*own_budgets(key, kept if limit == "" else limit), *others)


def set_budgets(state: State, command: SetBudgets, now: int) -> Decision:
    """Replaces a scope's budgets. Lowering one below what is spent is allowed: it then refuses, and captures go on."""
    del now
    key, account = state.keys.get(command.scope), state.accounts.get(command.scope)
    if key is None and account is None:
        return Refused("unknown_scope", scope=command.scope), []
    if any(budget.counter.scope != command.scope for budget in command.budgets):
        return Refused("other_scope", scope=command.scope), []
    kept = tuple(budget for budget in state.budgets.get(command.scope, ()) if budget.is_key_limit or budget.rate)
    deltas = _rebudget(state, command.scope, (*kept, *command.budgets))
    if isinstance(deltas, Refused):
        return deltas, []
    if key is not None:
        deltas.append(KeyWritten(msgspec.structs.replace(key, rev=key.rev + 1)))
    if account is not None:
        deltas.append(AccountWritten(msgspec.structs.replace(account, rev=account.rev + 1)))
    return Done({"scope": command.scope}), deltas


def _rebudget(state: State, scope: str, budgets: tuple[Budget, ...]) -> list[Delta] | Refused:
    """Writes a scope's budgets and makes the counters that are new, with what they would have counted."""
    problem = _check(budgets)
    if problem is not None:
        return problem
    known = state.counters.get(scope, {})
    new = {budget.counter.id: budget.counter for budget in budgets if budget.counter.id not in known}
    deltas: list[Delta] = []
    for counter in new.values():
        deltas += _make(state, counter)
    if budgets != state.budgets.get(scope, ()):
        deltas.append(BudgetsWritten(scope, budgets))
    return deltas


def _make(state: State, counter: Counter) -> list[Delta]:
    deltas: list[Delta] = [CounterMade(counter)]
    history = state.histories.get(counter.id)
    if history is None:
        return deltas
    deltas += [WindowBackfilled(counter.id, start, spent) for start, spent in sorted(history.spent.items())]
    for hold_id, start in history.holds:
        hold = state.holds[hold_id]
        held, spent = (hold.bounds, NOTHING) if hold.state == "open" else (NOTHING, state.charges[hold_id].amounts)
        deltas += [HoldCounted(hold_id, (counter.id, start)), WindowsChanged(((counter.id, start),), held=held, spent=spent)]
    return deltas


def _check(budgets: tuple[Budget, ...]) -> Refused | None:
    for budget in budgets:
        try:
            windows.check(budget.counter.window, budget.counter.timezone)
        except windows.UnknownWindowError as problem:
            return Refused("invalid_window", scope=budget.counter.scope, detail=str(problem))
        if budget.limit < 0:
            return Refused("invalid_amount", scope=budget.counter.scope, needed=budget.limit)
    return None


def publish_book(state: State, command: PublishBook, now: int) -> Decision:
    """Makes a version of the price book the one that counts."""
    del now
    newest = state.book_version or 0
    if command.version <= newest:
        return Refused("not_newer", available=newest, needed=command.version), []
    return Done({"version": str(command.version)}), [BookPublished(command.version, command.note)]
