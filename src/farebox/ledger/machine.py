"""The state machine: every command decided by a pure function of the state, the command and the time of its batch."""

from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import Any, cast

import msgspec

from farebox.ledger import calls, events, policies, transfers
from farebox.ledger.commands import (
    Adjust,
    AdminCommand,
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
    GrantMoney,
    IssueKey,
    Move,
    OpenAccount,
    Outcome,
    PublishBook,
    RecordEvent,
    Refund,
    Refused,
    Release,
    SetBudgets,
)
from farebox.ledger.deltas import CommandRecorded
from farebox.ledger.lasting import HandOver
from farebox.ledger.settling import Decision
from farebox.ledger.state import State

Rule = Callable[[State, Any, int], Decision]
_HOT: dict[type, Rule] = {
    Authorize: calls.authorize,
    HandOver: calls.hand_over,
    Capture: calls.capture,
    Release: calls.release,
    Expire: calls.expire,
    RecordEvent: events.record,
}
"""Of commands that belong to a call: known by their hold, decided in company, answered in a batch."""
_RULES: dict[type, Rule] = {
    Extend: calls.extend,
    OpenAccount: policies.open_account,
    EditAccount: policies.edit_account,
    IssueKey: policies.issue_key,
    EditKey: policies.edit_key,
    SetBudgets: policies.set_budgets,
    PublishBook: policies.publish_book,
    GrantMoney: transfers.grant,
    Move: transfers.move,
    Adjust: transfers.adjust,
    Refund: transfers.refund,
    BookExpiry: transfers.book_expiry,
}
_KINDS = frozenset(_HOT)
_encode = msgspec.json.Encoder(order="sorted").encode
_outcomes = msgspec.json.Decoder(Done | Refused | Authorized)


def are_hot(commands: Iterable[Command]) -> bool:
    """Whether all of them belong to calls."""
    return _KINDS.issuperset(map(type, commands))


def decide(state: State, command: Command, now: int) -> Decision:
    """The outcome of a command and what it changes. `state` is not touched: `State.apply` does that with the deltas."""
    hot = _HOT.get(type(command))
    return hot(state, command, now) if hot is not None else _decide_once(state, cast("AdminCommand", command), now)


def _decide_once(state: State, command: AdminCommand, now: int) -> Decision:
    """A command whose outcome is kept for ever."""
    fingerprint = fingerprint_of(command)
    before = state.commands.get(command.id)
    if before is not None:
        return _answer_again(before, fingerprint), []
    outcome, deltas = _RULES[type(command)](state, command, now)
    if isinstance(outcome, Done | Refused | Authorized):
        deltas.append(CommandRecorded(command.id, fingerprint, _encode(outcome), now))
    return outcome, deltas


def _answer_again(before: CommandRecorded, fingerprint: str) -> Outcome:
    if before.fingerprint != fingerprint:
        return Conflict(before.id)
    outcome = _outcomes.decode(before.outcome)
    return outcome if isinstance(outcome, Refused) else msgspec.structs.replace(outcome, repeated=True)


def fingerprint_of(command: AdminCommand) -> str:
    """What makes two commands of one id the same: their content, but for what the gateway itself drew up for them."""
    content = msgspec.to_builtins(command)
    for drawn in (
        "gate",
        "grant_id" if isinstance(command, GrantMoney) else "",
        "account_id" if isinstance(command, OpenAccount) else "",
        "key" if isinstance(command, IssueKey) else "",
    ):
        content.pop(drawn, None)
    if isinstance(command, IssueKey):
        asked = msgspec.to_builtins(command.key)
        content["asked"] = {
            name: asked[name] for name in asked if name not in ("id", "hash", "label", "created_at", "status_since", "root")
        }
    return blake2b(_encode([type(command).__name__, content]), digest_size=16).hexdigest()
