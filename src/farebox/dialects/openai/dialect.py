"""The OpenAI dialect: the parts put together, and its own words for errors and listings (providers.md §1.6, §1.7, §1.8)."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from farebox.dialects import faults, words
from farebox.dialects.base import Ask, Endpoint, Fault, ModelEntry, Report, Route, StreamMeter
from farebox.dialects.extras import Bounds
from farebox.dialects.openai import request, responses, stored
from farebox.dialects.openai.chat import Chat
from farebox.dialects.openai.completions import Completions
from farebox.dialects.openai.edits import Edits
from farebox.dialects.openai.embeddings import Embeddings
from farebox.dialects.openai.free import FreeRoute
from farebox.dialects.openai.hosts import OPENAI, Host
from farebox.dialects.openai.images import Generations
from farebox.dialects.openai.multipart import read_form
from farebox.dialects.openai.naming import is_form, with_model
from farebox.dialects.openai.responses import Responses
from farebox.dialects.openai.speech import Speech
from farebox.dialects.openai.stored import StoredResponse
from farebox.dialects.openai.transcriptions import Transcriptions
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
_BOUNDS = Bounds("openai")


class OpenAI:
    """Chat completions as OpenAI and compatible hosts speak them."""

    name = "openai"
    forwards: tuple[bytes, ...] = ()
    no_stream: tuple[bytes, ...] = (b"text/html", b"application/json")
    returns = frozenset((b"openai-processing-ms", b"openai-version"))

    def __init__(
        self,
        *,
        cap_field: str = "max_completion_tokens",
        tiers_of_auto: tuple[str, ...] = ("default", "priority"),
        host: Host = OPENAI,
        bounds: Bounds = _BOUNDS,
    ) -> None:
        """`cap_field` is what is inserted when a request names no cap (older hosts want `max_tokens`).

        `tiers_of_auto` are the tiers that `service_tier: auto`, and none, may be billed as: the provider's project setting decides. An
        operator whose project is pinned to one may say so; the default is the safe one. `host` is what else is particular about the provider; `bounds`
        what its settings admit.
        """
        self._endpoints: dict[str, Endpoint] = {
            "chat_completions": Chat(cap_field=cap_field, tiers_of_auto=tiers_of_auto, host=host, bounds=bounds),
            "responses": Responses(tiers_of_auto=tiers_of_auto, bounds=bounds, keeps_items=host.keeps_items),
            "embeddings": Embeddings(),
            "completions": Completions(),
            "speech": Speech(),
            "transcriptions": Transcriptions(ms_min=host.recording_ms_min),
            "translations": Transcriptions(translates=True, ms_min=host.recording_ms_min),
            "image_generations": Generations(),
            "image_edits": Edits(),
            "response": StoredResponse(),
            "moderations": FreeRoute(),
            "input_tokens": FreeRoute(
                kept={"previous_response_id": "response", "conversation": "conversation"}, within=responses.items_named
            ),
        }

    def ask(self, route: Route, body: bytes, headers: Mapping[bytes, bytes]) -> Ask:
        """Reads and bounds a request."""
        return self._endpoints[route.name].ask(route, body, headers)

    def ask_as(self, route: Route, body: bytes, headers: Mapping[bytes, bytes], model: str) -> Ask:
        """Reads a request as one for another model than the body names; it is still the body that is rewritten."""
        ask = self._endpoints[route.name].ask(route, with_model(body, model, headers), headers)
        if is_form(headers):  # the rewrite has to know where the parts of the body are that came
            ask.facts = msgspec.structs.replace(ask.facts, form=read_form(body, headers))
        return ask

    def target(self, ask: Ask, route: Route, model: str, query: bytes) -> str:  # noqa: ARG002 - the path says it all
        """The path behind the base URL."""
        return stored.target(route, query) if route.kind == "owned" else route.upstream_path

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

    def error_frame(self, refusal: Refusal, request_id: str, ask: Ask | None = None) -> bytes:
        """The frame on which the SDKs raise. On a stream of responses it is both the documented event and what they raise on."""
        if ask is None or ask.route != "responses":
            return b"data: " + self.refusal(refusal, request_id) + b"\n\n"
        error = _error(refusal, request_id)
        told = {name: error[name] for name in ("code", "message", "param")}
        frame = {"type": "error", "error": error, **told, "sequence_number": responses.sequence_of(ask) + 1}
        return b"event: error\ndata: " + msgspec.json.encode(frame) + b"\n\n"

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
