"""The state machine: every command decided by a pure function of the state, the command and the time of its batch."""

from collections.abc import Callable
from hashlib import blake2b
from typing import Any

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
    HotCommand,
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

_RULES: dict[type, Callable[[State, Any, int], Decision]] = {
    Authorize: calls.authorize,
    HandOver: calls.hand_over,
    Capture: calls.capture,
    Release: calls.release,
    Expire: calls.expire,
    RecordEvent: events.record,
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
_encode = msgspec.json.Encoder(order="sorted").encode
_outcomes = msgspec.json.Decoder(Done | Refused | Authorized)


def is_hot(command: Command) -> bool:
    """Whether the command belongs to a call: known by its hold, decided in company, answered in a batch."""
    return isinstance(command, HotCommand)


def decide(state: State, command: Command, now: int) -> Decision:
    """The outcome of a command and what it changes. `state` is not touched: `State.apply` does that with the deltas."""
    rule = _RULES[type(command)]
    if isinstance(command, HotCommand):
        return rule(state, command, now)
    fingerprint = fingerprint_of(command)
    before = state.commands.get(command.id)
    if before is not None:
        return _answer_again(before, fingerprint), []
    outcome, deltas = rule(state, command, now)
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
