"""Work that is not proxied, as one small callable: no framework on its way, because it is asked as often as calls are made.

Serves `POST /api/v1/holds`, `/api/v1/holds/{id}/…` and `/api/v1/events`, on whichever event loop it was made for. What it refuses, it says
as the rest of the control API does; `described` is how the API's document tells of it.
"""

import re
from collections.abc import Coroutine
from typing import Any

import msgspec
from pydantic import ValidationError
from starlette.responses import Response

from farebox import limits
from farebox.control import refusing
from farebox.control.body import exact_json
from farebox.control.caller import Admin, Own
from farebox.control.office import Office
from farebox.control.problems import Problem, by_status
from farebox.control.unproxied import events, holds, plain
from farebox.control.unproxied.asked import CaptureIn, ExtendIn, HoldIn, ReleaseIn
from farebox.control.unproxied.events import Events
from farebox.control.unproxied.holds import Answer, Asked, Holds
from farebox.control.unproxied.payers import Caller, Callers, Payers
from farebox.errors import FareboxError
from farebox.exchange import Exchange, Headers

_IDEMPOTENCY = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")
_HEADERS: Headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]
_REPLAYED = (b"x-farebox-replayed", b"1")
_OF_A_HOLD = f"{holds.ROUTE}/"
_ACTIONS = ("extend", "capture", "release")
_encode = msgspec.json.Encoder().encode


class Unproxied:
    """One per event loop. `admins` False: an address of callers, where gateway keys may hold for themselves and nobody administers."""

    def __init__(self, office: Office, *, admins: bool = True) -> None:
        payers = Payers(office)
        self._callers = Callers(office)
        self._holds = Holds(office, payers)
        self._events = Events(office, payers, self._holds)
        self._admins = admins

    @staticmethod
    def serves(method: str, path: str) -> bool:
        """Whether a request is for here. A list of holds is not."""
        if not path.startswith("/api/v1/"):
            return False
        return path.startswith(_OF_A_HOLD) or path == events.ROUTE or (path == holds.ROUTE and method == "POST")

    async def __call__(self, exchange: Exchange) -> None:
        response: Response
        try:
            answer = await self._answer(exchange, exchange.place())
        except Problem as problem:
            response = problem.response()
        except ValidationError as problem:
            kind = exchange.named.get(b"content-type")
            response = refusing.invalid(None if kind is None else kind.decode("latin-1"), problem.errors())
        except FareboxError as problem:
            response = refusing.farebox(problem)
        except Exception as problem:  # noqa: BLE001 - the top edge of these routes: the caller gets an answer
            response = refusing.internal(problem)
        else:
            headers = [*_HEADERS, _REPLAYED] if answer.repeated else _HEADERS
            return await exchange.answer(answer.status, headers, _encode(answer.document))
        if exchange.half_read:
            exchange.last = True
        told = [header for header in response.raw_headers if header[0] != b"content-length"]
        return await exchange.answer(response.status_code, told + _HEADERS[1:], bytes(response.body))

    async def _answer(self, exchange: Exchange, path: str) -> Answer:
        hold_id, action = _place(path)
        if exchange.method != "POST":
            raise by_status(405, f"{path[:200]} takes POST.", {"allow": "POST"})
        sent = exchange.named.get(b"authorization", b"")
        caller = self._callers.known(sent) or await self._callers.of(sent)
        self._may(caller, action)
        asked = _asked(exchange, caller)
        if exchange.query:
            raise Problem("invalid_request", "There are no query parameters here.")
        body = await exchange.body(limits.unproxied_body_bytes_max)
        return await self._done(asked, hold_id, action, body)

    def _done(self, asked: Asked, hold_id: str, action: str, body: bytes) -> Coroutine[Any, Any, Answer]:
        """What is asked, about to be done. Raises what is said of a body that is not right."""
        if action == "hold":
            return self._holds.open(asked, plain.to_hold(body) or HoldIn.read(_json(body)))
        if action == "capture":
            return self._holds.capture(asked, hold_id, plain.to_capture(body) or CaptureIn.read(_json(body)))
        if action == "events" and isinstance(asked.caller, Admin):
            return self._events.record(asked.caller, _json(body))
        if action == "release":
            ReleaseIn.model_validate(_json(body))
            return self._holds.release(asked, hold_id)
        return self._holds.extend(asked, hold_id, ExtendIn.model_validate(_json(body)))

    def _may(self, caller: Caller, action: str) -> None:
        if action == "events" and isinstance(caller, Own):
            raise Problem("gateway_key_cannot_administer", "This is a gateway key: it may hold for itself, and tells of no events.")
        if not self._admins and isinstance(caller, Admin):
            raise by_status(404, "The control API is served at an address of its own.")


def _json(body: bytes) -> Any:
    """What a body says; nothing is an object of nothing. Raises a Problem."""
    return exact_json(body or b"{}")


def _place(path: str) -> tuple[str, str]:
    """The hold and what is to be done. Raises a Problem for what is no route."""
    if path == events.ROUTE:
        return "", "events"
    rest = path.removeprefix(holds.ROUTE)
    if not rest:
        return "", "hold"
    hold_id, _, action = rest[1:].partition("/")
    if not hold_id or "\0" in hold_id or action not in _ACTIONS:
        raise by_status(404, f"There is no route {path[:200]}.")
    return hold_id, action


def _asked(exchange: Exchange, caller: Caller) -> Asked:
    """By what the command of this request is known. Raises a Problem for an Idempotency-Key that is none."""
    sent = exchange.named.get(b"idempotency-key")
    if sent is None:
        return Asked(caller)
    text = sent.decode("latin-1").strip()
    if len(text) > limits.idempotency_key_bytes_max or not _IDEMPOTENCY.fullmatch(text):
        words = f"this is not from 1 to {limits.idempotency_key_bytes_max} printable characters"
        raise Problem("invalid_request", f"header.idempotency-key: {words}", errors=[{"field": "header.idempotency-key", "problem": words}])
    who = caller.key.id if isinstance(caller, Own) else caller.id
    return Asked(caller, f"api:{who}:{text}")
