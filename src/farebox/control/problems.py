"""What the control API says when it does not do what was asked: problem documents (RFC 9457) with a stable `code`, for every status.

Owns the codes' statuses and titles. Does not own what is refused: that is the ledger's, the validation's, or the routes'.
"""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from starlette.responses import Response

from farebox.ledger.commands import Refused
from farebox.money import format_usd

MEDIA_TYPE = "application/problem+json"
_encode = msgspec.json.Encoder().encode

STATUSES: dict[str, tuple[int, str]] = {
    "invalid_json": (400, "The body is not JSON"),
    "ambiguous_body": (400, "The body can be understood in two ways"),
    "invalid_event": (422, "This is not an event"),
    "invalid_key": (401, "This is not a key of this gateway"),
    "key_expired": (401, "This key has expired"),
    "exhausted": (402, "Nothing is available"),
    "budget_exceeded": (402, "The budget of a window does not allow it"),
    "key_paused": (403, "The key is paused"),
    "account_paused": (403, "The account is paused"),
    "model_not_allowed": (403, "The key may not be used for this"),
    "gateway_key_cannot_administer": (403, "Gateway keys cannot administer"),
    "needs_full_scope": (403, "This needs an admin key for the whole installation"),
    "not_found": (404, "There is no such thing"),
    "method_not_allowed": (405, "Not with this method"),
    "id_conflict": (409, "This Idempotency-Key was used before with other content"),
    "hold_closed": (409, "The hold ended already"),
    "exceeds_hold": (409, "It is more than is held"),
    "event_conflict": (409, "This event was told before with other content"),
    "external_id_taken": (409, "This external id is taken"),
    "id_taken": (409, "This id is taken"),
    "account_closed": (409, "The account is closed"),
    "key_revoked": (409, "The key is revoked"),
    "no_own_wallet": (409, "The account has no wallet of its own"),
    "other_root": (409, "The wallets belong to different roots"),
    "exceeds_available": (409, "There is not as much available"),
    "exceeds_paid": (409, "There is not as much left to refund"),
    "needs_acceptance": (409, "The import changes prices in a way that must be accepted"),
    "below_cost": (409, "This sells below the provider's price"),
    "does_not_hold": (409, "The books do not add up"),
    "not_published": (409, "The price book could not be published"),
    "publishing": (409, "Somebody else is publishing prices"),
    "too_large": (413, "The body is too large"),
    "unsupported_media_type": (415, "The body is of another kind"),
    "invalid_request": (422, "Something in the request is not right"),
    "unknown_payer": (422, "There is no such key or account"),
    "unknown_meter": (422, "There is no such meter"),
    "event_too_old": (422, "The event is too old"),
    "event_in_future": (422, "The event is in the future"),
    "unknown_account": (422, "There is no such account"),
    "too_deep": (422, "The account would lie too deep"),
    "fixed_at_creation": (422, "This cannot be changed"),
    "invalid_change": (422, "This change is not possible"),
    "invalid_amount": (422, "The amount is not possible"),
    "invalid_expiry": (422, "The expiry is not possible"),
    "invalid_window": (422, "There is no such window"),
    "invalid_prices": (422, "The price file cannot be read"),
    "report_too_long": (422, "The report would take too long"),
    "unknown_dimension": (422, "Usage cannot be grouped by this"),
    "held": (429, "Open holds have the money set aside"),
    "rate_limited": (429, "A rate limit is reached"),
    "internal": (500, "The gateway failed on its own account"),
    "store": (500, "The ledger's database failed"),
    "busy": (503, "The gateway is at its limit"),
    "ledger_unavailable": (503, "The ledger cannot be reached"),
    "not_ready": (503, "The gateway takes no calls now"),
}
"""Every code of the control API, its status and its title."""

_BY_STATUS = {400: "invalid_request", 401: "invalid_key", 404: "not_found", 405: "method_not_allowed", 413: "too_large", 500: "internal"}


class Problem(Exception):
    """Ends a request with a problem document. `facts` are members beside the standard ones."""

    def __init__(
        self, code: str, detail: str, *, status: int | None = None, headers: Mapping[str, str] | None = None, **facts: Any
    ) -> None:
        self.code = code
        self.status = status or STATUSES[code][0]
        self.detail = detail
        self.headers = dict(headers or {})
        self.facts = facts
        super().__init__(f"{code}: {detail}")

    def response(self) -> Response:
        """The document as an answer."""
        document = {
            "type": f"urn:farebox:problem:{self.code}",
            "title": STATUSES.get(self.code, (0, "The request was refused"))[1],
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            **self.facts,
        }
        return Response(_encode(document), self.status, self.headers, MEDIA_TYPE)


def not_found(what: str, name: str) -> Problem:
    """There is none, or it is not the caller's to see: the same words for both."""
    return Problem("not_found", f"There is no {what} {name[:200]!r}.")


def by_status(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Problem:
    """A problem of the web framework's own."""
    return Problem(_BY_STATUS.get(status, "invalid_request"), detail, status=status, headers=headers)


def refused(outcome: Refused) -> Problem:
    """A ledger's no, with its amounts."""
    code = outcome.reason if outcome.reason in STATUSES else "not_found" if outcome.reason.startswith("unknown_") else "invalid_change"
    facts: dict[str, Any] = {}
    if outcome.scope:
        facts["scope"] = outcome.scope
    if outcome.reason in ("exceeds_available", "exceeds_paid", "invalid_amount"):
        facts["needed_usd"] = format_usd(outcome.needed)
        facts["available_usd"] = format_usd(outcome.available)
    return Problem(code, _words(outcome), **facts)


def _words(outcome: Refused) -> str:  # one line per reason
    needed, available = format_usd(outcome.needed), format_usd(outcome.available)
    words = {
        "account_closed": f"The account {outcome.scope} is closed.",
        "exceeds_available": f"${needed} was asked for and ${available} is available in {outcome.scope}.",
        "exceeds_paid": f"${needed} was asked for and ${available} of what was paid for {outcome.scope} is left to give back.",
        "external_id_taken": "Another account has this external id.",
        "fixed_at_creation": f"Fixed when it was made: {outcome.detail}.",
        "id_taken": f"{outcome.scope} is there already.",
        "invalid_amount": "The amount is zero, has the wrong sign, or is too large to be booked.",
        "invalid_expiry": "The expiry is not after the start, or lies in the past.",
        "invalid_window": outcome.detail,
        "key_revoked": f"The key {outcome.scope} is revoked, and stays so.",
        "no_own_wallet": f"The account {outcome.scope} draws on the wallet of {outcome.detail}.",
        "other_root": "Money moves only between wallets of one root account.",
        "too_deep": f"Accounts lie at most {outcome.available} deep.",
        "unknown_account": f"There is no account {outcome.scope!r}.",
    }
    return words.get(outcome.reason) or outcome.detail or f"The ledger refused: {outcome.reason}."


def nearest(name: str, names: Iterable[str]) -> str:
    """`; did you mean …?` for a name that does not exist, or a list of those that do."""
    known = list(names)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else f"; there are {', '.join(known)}" if known else ""
