"""What the control API answers when validation, the ledger or a fault ends a request: errors into problem documents."""

from collections.abc import Iterable
from typing import Any

import structlog
from starlette.responses import Response

from farebox.control.problems import Problem
from farebox.errors import Busy, CommandRefused, FareboxError, LedgerUnavailable, Refusal
from farebox.ids import new_id

_log = structlog.get_logger()


def invalid(content_type: str | None, errors: Iterable[Any]) -> Response:
    """What validation found, field by field."""
    found = [dict(error) for error in errors]
    kind = (content_type or "application/json").split(";")[0].strip().lower()
    if any(tuple(error["loc"]) == ("body",) for error in found) and not kind.endswith("json"):
        return Problem("unsupported_media_type", "Send application/json.").response()
    named = faults(found)
    detail = "; ".join(f"{one['field']}: {one['problem']}" for one in named[:5])
    return Problem("invalid_request", detail, errors=named).response()


def faults(errors: Iterable[Any]) -> list[dict[str, str]]:
    """Each with the field it is in and what is wrong, in words."""
    return [{"field": _field(dict(error)), "problem": _words(dict(error))} for error in errors]


def _field(error: dict[str, Any]) -> str:
    """`limits.0.window` for a body's field; the others with where they stand (`query.limit`)."""
    parts = [str(part)[:64] for part in error["loc"]]
    if parts[:1] == ["body"]:
        parts = parts[1:]
    if error["type"] == "unknown_field":
        parts.append(str(error["ctx"]["name"]))
    return ".".join(parts) or "body"


def _words(error: dict[str, Any]) -> str:
    message = str(error["msg"]).removeprefix("Value error, ")
    return message[:1].lower() + message[1:] if message[1:2].islower() else message


def farebox(problem: FareboxError) -> Response:
    """What the ledger and the way of a quote refuse."""
    if isinstance(problem, Refusal):
        headers = {} if problem.retry_after_s is None else {"retry-after": str(problem.retry_after_s)}
        facts = {name: value for name, value in problem.facts.items() if name not in ("status", "detail", "type", "title", "code")}
        code = "busy" if isinstance(problem, Busy) else problem.reason
        return Problem(code, " ".join(problem.message.split()), status=problem.status, headers=headers, **facts).response()
    if isinstance(problem, CommandRefused):
        return Problem(problem.refused_code, problem.message).response()
    if isinstance(problem, LedgerUnavailable):
        words = "The ledger cannot be reached now. Send the request again with the same Idempotency-Key: it is carried out at most once."
        return Problem("ledger_unavailable", words, headers={"retry-after": "5"}).response()
    return internal(problem)


def internal(problem: Exception) -> Response:
    """Something broke here: what exactly is in the log, under the incident's name."""
    incident = new_id("inc")
    _log.error("control_failed", incident=incident, problem=repr(problem), exc_info=problem)
    return Problem("internal", f"The gateway failed on its own account ({incident}).", incident=incident).response()
