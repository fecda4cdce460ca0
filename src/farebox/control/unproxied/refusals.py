"""What is said when the ledger refuses work that is not proxied: statuses and words, with the amounts that decided."""

from typing import Any

from farebox.clock import to_rfc3339
from farebox.control.caller import Own
from farebox.control.problems import Problem
from farebox.control.unproxied.payers import Caller
from farebox.ledger.calls import retry_after_s
from farebox.ledger.commands import Refused
from farebox.money import format_usd

_MONEY = {"exhausted": 402, "exceeds_available": 402, "budget_exceeded": 402, "held": 429, "rate_limited": 429}
_STATES = {"key_revoked": 409, "key_expired": 409, "key_paused": 403, "account_paused": 403}
_EVENTS = {"event_too_old": 422, "event_in_future": 422}


def problem_of(refused: Refused, caller: Caller, now: int) -> Problem:
    """A refusal as a problem document. A gateway key is not told of accounts above it."""
    facts = _facts(refused)
    if isinstance(caller, Own) and facts.get("scope") not in (None, caller.key.id):
        facts["scope"] = "account"
    if refused.reason in _MONEY:
        status = _MONEY[refused.reason]
        waits = {"retry-after": str(min(retry_after_s(refused.renews_at, now), 60))} if status == 429 else {}  # noqa: PLR2004 - HTTP's own
        return Problem(refused.reason, _short(refused), status=status, headers=waits, **facts)
    if refused.reason in _STATES:
        return Problem(refused.reason, _stopped(refused), status=_STATES[refused.reason], **facts)
    if refused.reason in _EVENTS:
        return Problem(refused.reason, _then(refused))
    if refused.reason == "exceeds_hold":
        words = f"${format_usd(refused.needed)} is more than the ${format_usd(refused.available)} that is held: extend the hold first."
        return Problem("exceeds_hold", words, needed_usd=format_usd(refused.needed), available_usd=format_usd(refused.available))
    if refused.reason == "hold_closed":
        return Problem("hold_closed", f"The hold {refused.scope} is {refused.detail}.", state=refused.detail)
    return Problem("not_found", f"There is no hold {refused.scope!r}.")


def _facts(refused: Refused) -> dict[str, Any]:
    facts: dict[str, Any] = {"scope": refused.scope} if refused.scope else {}
    if refused.reason not in _MONEY:
        return facts
    if refused.measure in ("price", "provider_cost"):
        facts |= {"needed_usd": format_usd(refused.needed), "available_usd": format_usd(refused.available)}
    else:
        facts |= {"needed": refused.needed, "available": refused.available}
    if refused.window:
        facts["window"] = refused.window
    if refused.renews_at is not None:
        facts["renews_at"] = to_rfc3339(refused.renews_at)
    return facts


def _short(refused: Refused) -> str:
    if refused.reason == "rate_limited":
        return f"Rate limit reached: {refused.window}."
    in_dollars = refused.measure in ("price", "provider_cost")
    needed, available = (
        f"${format_usd(value)}" if in_dollars else f"{value} {refused.measure}" for value in (refused.needed, refused.available)
    )
    return {
        "exhausted": f"Nothing is available: {needed} is needed.",
        "exceeds_available": f"{needed} is needed and {available} is available.",
        "budget_exceeded": f"The {refused.window} budget has {available} left and {needed} is needed.",
        "held": f"There is money, but open holds have it set aside: {needed} is needed and {available} is available now.",
    }[refused.reason]


def _stopped(refused: Refused) -> str:
    what = "account" if refused.reason.startswith("account") else "key"
    how = refused.reason.partition("_")[2]
    why = f": {refused.detail}" if refused.detail else ""
    return f"The {what} {refused.scope} is {how} since {to_rfc3339(refused.since or 0)}{why}."


def _then(refused: Refused) -> str:
    bound = to_rfc3339(refused.since or 0)
    if refused.reason == "event_too_old":
        return f"The event happened before {bound}: it is too late to charge it."
    return f"The event's time is after {bound}, which is now."
