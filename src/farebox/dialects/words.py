"""Refusals in words: what is common to every dialect's error body.

Owns the `farebox` member that each error carries beside the API's own words. Does not own those words.
"""

from typing import Any

from farebox.errors import Refusal


def message(refusal: Refusal) -> str:
    """The refusal's message, as one tidy line."""
    return " ".join(refusal.message.split())


def facts(refusal: Refusal, request_id: str) -> dict[str, Any]:
    """What a program may want to know: the reason, the request, and the refusal's facts (dollars as decimal strings)."""
    known = {name: value for name, value in refusal.facts.items() if value is not None}
    return {"reason": refusal.reason, "request_id": request_id, **known}
