"""The ElevenLabs dialect: the parts put together, and its own words for errors and listings (providers.md §1.7, §4)."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from farebox.dialects import faults, words
from farebox.dialects.base import Ask, Fault, ModelEntry, Report, Route, StreamMeter
from farebox.dialects.elevenlabs import answer, request
from farebox.dialects.faults import Trouble
from farebox.dialects.meter import as_text, decode
from farebox.errors import NoMoney, Refusal

_ACCOUNT_STATUSES = frozenset(
    (
        *(
            "quota_exceeded",
            "invalid_api_key",
            "payment_required",
            "missing_permissions",
            "detected_unusual_activity",
            "subscription_required",
        ),
        *("payment_issue", "account_disabled"),
    )
)
"""Told with other statuses than 401 to 403, too."""
_STATUSES = {
    "invalid_key": "invalid_api_key",
    "key_revoked": "invalid_api_key",
    "key_expired": "invalid_api_key",
    "rate_limited": "too_many_concurrent_requests",
    "busy": "system_busy",
    "route_not_found": "not_found",
}


class _Body(msgspec.Struct):
    detail: Any = None


_BODY = msgspec.json.Decoder(_Body)


class ElevenLabs:
    """Text to speech as ElevenLabs' own SDK asks for it."""

    name = "elevenlabs"
    forwards: tuple[bytes, ...] = ()
    no_stream: tuple[bytes, ...] = (b"text/html",)
    returns = frozenset((answer.COST,))

    def ask(self, route: Route, body: bytes, headers: Mapping[bytes, bytes]) -> Ask:  # noqa: ARG002 - no header moves cost
        """Reads and bounds a request."""
        return request.read(route, body)

    def target(self, ask: Ask, route: Route, model: str, query: bytes) -> str:  # noqa: ARG002 - the model stands in the body
        """The path behind the base URL, and of the query what says how the sound is to be made."""
        return route.upstream_path + request.query_of(query)

    def hides_output(self, model: str) -> bool:  # noqa: ARG002 - the same for all
        """What is billed is the text that goes in."""
        return True

    def rewrite(self, ask: Ask, body: bytes, *, model: str | None, output_cap: int | None) -> bytes:  # noqa: ARG002 - sound has no cap
        """Sets the model."""
        return request.with_model(ask, body, model)

    def read_answer(self, ask: Ask, body: bytes, headers: Mapping[bytes, bytes]) -> Report:
        """Reads a whole answer."""
        return answer.read_timed(ask, body, headers)

    def stream(self, ask: Ask, headers: Mapping[bytes, bytes]) -> StreamMeter:
        """A meter for one spoken answer."""
        return answer.SoundMeter(ask, headers)

    def refusal(self, refusal: Refusal, request_id: str) -> bytes:
        """`{"detail": {status, message, farebox}}`."""
        status = "quota_exceeded" if isinstance(refusal, NoMoney) else _STATUSES.get(refusal.reason, refusal.reason)
        detail = {"status": status, "message": words.message(refusal), "farebox": words.facts(refusal, request_id)}
        return msgspec.json.encode({"detail": detail})

    def error_frame(self, refusal: Refusal, request_id: str, ask: Ask | None = None) -> bytes:  # noqa: ARG002 - as every dialect's
        """Nothing: sound cannot say what is wrong with it. Its connection is broken off."""
        return b""

    def models(self, entries: Sequence[ModelEntry], *, limit: int | None = None, after_id: str | None = None) -> bytes:  # noqa: ARG002 - this API has no pages
        """The listing of models."""
        return msgspec.json.encode([_model(entry) for entry in entries])

    def model(self, entry: ModelEntry) -> bytes:
        """One model."""
        return msgspec.json.encode(_model(entry))

    def fault(self, status: int, body: bytes) -> Fault:
        """Whose trouble an upstream error is."""
        said = _trouble(body)
        return "account" if said.code in _ACCOUNT_STATUSES else faults.by_status(status, said)


def _trouble(body: bytes) -> Trouble:
    """The detail of an error: a status with a message; or a list, of a body that does not fit its schema."""
    told = decode(_BODY, body)
    detail = told.detail if told is not None else None
    if type(detail) is list:
        return Trouble(readable=True)
    if type(detail) is not dict:
        return Trouble()
    return Trouble(readable=True, code=as_text(detail.get("status")) or as_text(detail.get("code")), message=as_text(detail.get("message")))


def _model(entry: ModelEntry) -> dict[str, Any]:
    return {
        "model_id": entry.id,
        "name": entry.display_name or entry.id,
        "can_do_text_to_speech": True,
        "can_do_voice_conversion": False,
    }
