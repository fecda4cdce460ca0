"""The OpenAI dialect: the parts put together, and its own words for errors and listings (providers.md §1.6, §1.7, §1.8)."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from farebox.dialects import faults, spans, words
from farebox.dialects.base import Ask, Fault, ModelEntry, Report, StreamMeter
from farebox.dialects.openai import answer, request
from farebox.errors import NoMoney, Refusal

_ACCOUNT_CODES = frozenset(
    (
        *("insufficient_quota", "credit_balance_exhausted", "organization_spend_limit_exceeded", "project_spend_limit_exceeded"),
        *("organization_usage_limit_exceeded", "billing_hard_limit_reached", "billing_not_active", "invalid_api_key"),
    )
)
_CALLER_CODES = frozenset(("content_policy_violation", "content_filter", "moderation_blocked"))
_TYPES = {401: "invalid_request_error", 403: "permission_error", 429: "rate_limit_error"}
_CODES = {
    "invalid_key": "invalid_api_key",
    "key_revoked": "invalid_api_key",
    "key_expired": "invalid_api_key",
    "rate_limited": "rate_limit_exceeded",
    "route_not_found": "unknown_url",
}
_SERVER_ERRORS_FROM = 500
_USAGE_ON = b'{"include_usage":true}'


class OpenAI:
    """Chat completions as OpenAI and compatible hosts speak them."""

    name = "openai"

    def __init__(self, *, cap_field: str = "max_completion_tokens", tiers_of_auto: tuple[str, ...] = ("default", "priority")) -> None:
        """`cap_field` is what is inserted when a request names no cap (older hosts want `max_tokens`).

        `tiers_of_auto` are the tiers that `service_tier: auto`, and none, may be billed as: the provider's project setting decides. An
        operator whose project is pinned to one may say so; the default is the safe one.
        """
        self._cap_field = cap_field
        self._tiers_of_auto = tiers_of_auto

    def ask(self, route: str, body: bytes, headers: Mapping[bytes, bytes]) -> Ask:  # noqa: ARG002 - one route with a body, and no header moves cost
        """Reads and bounds a chat completions request."""
        return request.read(body, cap_field=self._cap_field, tiers_of_auto=self._tiers_of_auto)

    def hides_output(self, model: str) -> bool:
        """Whether a model may reason unseen."""
        return request.hides_output(model)

    def rewrite(self, ask: Ask, body: bytes, *, model: str | None, output_cap: int | None) -> bytes:
        """Sets the model, the output cap, and `include_usage` on streams whose client did not ask for it."""
        if model is not None and model != ask.model:
            body = _set(ask, body, "model", msgspec.json.encode(model))
        if output_cap is not None and output_cap != ask.demand.output_tokens_named:
            body = _set(ask, body, ask.cap_field, str(output_cap).encode())
        return _with_usage(ask, body) if ask.hides_usage else body

    def read_answer(self, ask: Ask, body: bytes) -> Report:
        """Reads a whole answer."""
        return answer.read(ask, body)

    def stream(self, ask: Ask) -> StreamMeter:
        """A meter for one streamed answer."""
        return answer.ChatMeter(ask)

    def refusal(self, refusal: Refusal, request_id: str) -> bytes:
        """`{"error": {message, type, param, code, farebox}}`."""
        return msgspec.json.encode({"error": _error(refusal, request_id)})

    def error_frame(self, refusal: Refusal, request_id: str) -> bytes:
        """The frame on which the SDKs raise."""
        return b"data: " + self.refusal(refusal, request_id) + b"\n\n"

    def models(self, entries: Sequence[ModelEntry], *, limit: int | None = None, after_id: str | None = None) -> bytes:  # noqa: ARG002 - this API has no pages
        """The listing of models."""
        return msgspec.json.encode({"object": "list", "data": [_model(entry) for entry in entries]})

    def model(self, entry: ModelEntry) -> bytes:
        """One model."""
        return msgspec.json.encode(_model(entry))

    def fault(self, status: int, body: bytes) -> Fault:
        """Whose trouble an upstream error is."""
        said = faults.trouble(body)
        if said.type in _ACCOUNT_CODES or said.code in _ACCOUNT_CODES:
            return "account"
        if said.type in _CALLER_CODES or said.code in _CALLER_CODES:
            return "caller"
        return faults.by_status(status, said)


def _set(ask: Ask, body: bytes, name: str, literal: bytes) -> bytes:
    span = spans.member(body, name) if name in ask.names else None
    return spans.inserted(body, name, literal) if span is None else spans.replaced(body, span, literal)


def _with_usage(ask: Ask, body: bytes) -> bytes:
    options = spans.member(body, "stream_options") if "stream_options" in ask.names else None
    if options is None:
        return spans.inserted(body, "stream_options", _USAGE_ON)
    if body[options.value_start : options.value_end] == b"null":
        return spans.replaced(body, options, _USAGE_ON)
    asked = spans.member(body, "include_usage", options.value_start)
    if asked is None:
        return spans.inserted(body, "include_usage", b"true", options.value_start)
    return spans.replaced(body, asked, b"true")


def _error(refusal: Refusal, request_id: str) -> dict[str, Any]:
    if isinstance(refusal, NoMoney):
        kind = code = "insufficient_quota"  # what every OpenAI client knows as "no money", and does not retry
    else:
        kind = "server_error" if refusal.status >= _SERVER_ERRORS_FROM else _TYPES.get(refusal.status, "invalid_request_error")
        code = _CODES.get(refusal.reason, refusal.reason)
    return {
        "message": words.message(refusal),
        "type": kind,
        "param": refusal.facts.get("field"),
        "code": code,
        "farebox": words.facts(refusal, request_id),
    }


def _model(entry: ModelEntry) -> dict[str, Any]:
    return {"id": entry.id, "object": "model", "created": entry.created_at_s, "owned_by": entry.owned_by}
