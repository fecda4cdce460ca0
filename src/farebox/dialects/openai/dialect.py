"""The OpenAI dialect: the parts put together, and its own words for errors and listings (providers.md §1.6, §1.7, §1.8)."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from farebox.dialects import faults, words
from farebox.dialects.base import Ask, Endpoint, Fault, ModelEntry, Report, Route, StreamMeter
from farebox.dialects.openai import request
from farebox.dialects.openai.chat import Chat
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


class OpenAI:
    """Chat completions as OpenAI and compatible hosts speak them."""

    name = "openai"
    forwards: tuple[bytes, ...] = (b"openai-beta",)
    no_stream: tuple[bytes, ...] = (b"text/html", b"application/json")
    returns = frozenset((b"openai-processing-ms", b"openai-version"))

    def __init__(self, *, cap_field: str = "max_completion_tokens", tiers_of_auto: tuple[str, ...] = ("default", "priority")) -> None:
        """`cap_field` is what is inserted when a request names no cap (older hosts want `max_tokens`).

        `tiers_of_auto` are the tiers that `service_tier: auto`, and none, may be billed as: the provider's project setting decides. An
        operator whose project is pinned to one may say so; the default is the safe one.
        """
        self._endpoints: dict[str, Endpoint] = {
            "chat_completions": Chat(cap_field=cap_field, tiers_of_auto=tiers_of_auto),
        }

    def ask(self, route: Route, body: bytes, headers: Mapping[bytes, bytes]) -> Ask:
        """Reads and bounds a request."""
        return self._endpoints[route.name].ask(route, body, headers)

    def target(self, ask: Ask, route: Route, model: str, query: bytes) -> str:  # noqa: ARG002 - the path says it all
        """The path behind the base URL."""
        return route.upstream_path

    def hides_output(self, model: str) -> bool:
        """Whether a model may reason unseen."""
        return request.hides_output(model)

    def rewrite(self, ask: Ask, body: bytes, *, model: str | None, output_cap: int | None) -> bytes:
        """The body to send upstream."""
        return self._endpoints[ask.route].rewrite(ask, body, model=model, output_cap=output_cap)

    def read_answer(self, ask: Ask, body: bytes, headers: Mapping[bytes, bytes]) -> Report:
        """Reads a whole answer."""
        return self._endpoints[ask.route].read_answer(ask, body, headers)

    def stream(self, ask: Ask, headers: Mapping[bytes, bytes]) -> StreamMeter:
        """A meter for one streamed answer."""
        return self._endpoints[ask.route].stream(ask, headers)

    def refusal(self, refusal: Refusal, request_id: str) -> bytes:
        """`{"error": {message, type, param, code, farebox}}`."""
        return msgspec.json.encode({"error": _error(refusal, request_id)})

    def error_frame(self, refusal: Refusal, request_id: str, ask: Ask | None = None) -> bytes:  # noqa: ARG002 - one kind of stream
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
