"""The Anthropic dialect: the parts put together, and its own words for errors and listings (providers.md §1.7, §1.8, §2.3, §2.4)."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from farebox.clock import US_PER_S, to_rfc3339
from farebox.dialects import faults, spans, words
from farebox.dialects.anthropic import answer, request
from farebox.dialects.anthropic.request import Defaults
from farebox.dialects.base import Ask, Fault, ModelEntry, Report, Route, StreamMeter
from farebox.dialects.extras import Bounds
from farebox.errors import CostUnbounded, Refusal

_ACCOUNT_CODES = frozenset(("enforced_spend_limit_reached", "contract_spend_limit_reached"))
_ACCOUNT_MESSAGES = ("your credit balance is too low", "you have reached your specified")
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
}
_SERVER_ERRORS_FROM = 500
_OVERLOADED = frozenset(("busy", "draining"))
_PAGE_DEFAULT = 20
_PAGE_MAX = 1000
_DEFAULTS = Defaults()
_BOUNDS = Bounds("anthropic")
_BETA = b"beta=true"
_THREAD = "thread"


class Anthropic:
    """Messages as Anthropic's SDKs and Claude Code speak them."""

    name = "anthropic"
    forwards: tuple[bytes, ...] = (b"anthropic-",)
    no_stream: tuple[bytes, ...] = (b"text/html", b"application/json")
    returns: frozenset[bytes] = frozenset()

    def __init__(self, defaults: Defaults = _DEFAULTS, bounds: Bounds = _BOUNDS) -> None:
        """`defaults` say what the operator's workspace does where a request does not say; the default is the safe one. `bounds`: what the
        provider's settings admit.
        """
        self._defaults = defaults
        self._bounds = bounds

    def ask(self, route: Route, body: bytes, headers: Mapping[bytes, bytes]) -> Ask:
        """Reads and bounds a request to create a message or to count its tokens."""
        return request.read(route.name, body, headers, self._defaults, self._bounds)

    def target(self, ask: Ask, route: Route, model: str, query: bytes) -> str:  # noqa: ARG002 - the path says it all
        """The path behind the base URL; of queries, the one that coding agents send goes along."""
        return route.upstream_path + "?beta=true" if query == _BETA else route.upstream_path

    def hides_output(self, model: str) -> bool:
        """Whether a model may think unseen when the request does not say."""
        return request.hides_output(model)

    def rewrite(self, ask: Ask, body: bytes, *, model: str | None, output_cap: int | None) -> bytes:
        """Sets the model and the output cap."""
        if model is not None and model != ask.model:
            body = _set(body, "model", msgspec.json.encode(model))
        if output_cap is not None and output_cap != ask.demand.output_tokens_named:
            body = _set(body, "max_tokens", str(output_cap).encode())
        return body

    def read_answer(self, ask: Ask, body: bytes, headers: Mapping[bytes, bytes]) -> Report:  # noqa: ARG002 - nothing in them is metered
        """Reads a whole answer."""
        return answer.read(ask, body)

    def stream(self, ask: Ask, headers: Mapping[bytes, bytes]) -> StreamMeter:  # noqa: ARG002 - nothing in them is metered
        """A meter for one streamed answer."""
        return answer.MessageMeter(ask)

    def refusal(self, refusal: Refusal, request_id: str) -> bytes:
        """`{"type": "error", "error": {type, message, details, farebox}, "request_id"}`."""
        error = {
            "type": _type(refusal),
            "message": words.message(refusal),
            "details": _details(refusal),
            "farebox": words.facts(refusal, request_id),
        }
        return msgspec.json.encode({"type": "error", "error": error, "request_id": request_id})

    def error_frame(self, refusal: Refusal, request_id: str, ask: Ask | None = None) -> bytes:  # noqa: ARG002 - one kind of stream
        """The event on which the SDKs raise."""
        return b"event: error\ndata: " + self.refusal(refusal, request_id) + b"\n\n"

    def models(self, entries: Sequence[ModelEntry], *, limit: int | None = None, after_id: str | None = None) -> bytes:
        """One page of the listing of models. An `after_id` that is not listed starts at the beginning."""
        start = next((index + 1 for index, entry in enumerate(entries) if entry.id == after_id), 0)
        page = entries[start : start + max(1, min(limit or _PAGE_DEFAULT, _PAGE_MAX))]
        listing = {
            "data": [_model(entry) for entry in page],
            "has_more": start + len(page) < len(entries),
            "first_id": page[0].id if page else None,
            "last_id": page[-1].id if page else None,
        }
        return msgspec.json.encode(listing)

    def model(self, entry: ModelEntry) -> bytes:
        """One model."""
        return msgspec.json.encode(_model(entry))

    def fault(self, status: int, body: bytes) -> Fault:
        """Whose trouble an upstream error is."""
        said = faults.trouble(body)
        if said.type == "billing_error" or said.code in _ACCOUNT_CODES or faults.says(said, _ACCOUNT_MESSAGES):
            return "account"
        if said.type == "invalid_request_error" and "spend limit" in said.message.partition(":")[0]:
            return "account"  # complaints about the request open with the field and a colon
        return faults.by_status(status, said)


def _set(body: bytes, name: str, literal: bytes) -> bytes:
    span = spans.member(body, name)
    return spans.inserted(body, name, literal) if span is None else spans.replaced(body, span, literal)


def _details(refusal: Refusal) -> dict[str, Any]:
    """Why. Of a thread the API's own words: the SDK's tool runner asks for one unasked, and on these goes on without."""
    if isinstance(refusal, CostUnbounded) and refusal.facts.get("field") == _THREAD:
        return {"error_code": "thread_unsupported_request", "unsupported": [_THREAD]}
    return {"error_code": refusal.reason}


def _type(refusal: Refusal) -> str:
    if refusal.reason in _OVERLOADED:
        return "overloaded_error"
    fallback = "api_error" if refusal.status >= _SERVER_ERRORS_FROM else "invalid_request_error"
    return _TYPES.get(refusal.status, fallback)


def _model(entry: ModelEntry) -> dict[str, Any]:
    return {
        "type": "model",
        "id": entry.id,
        "display_name": entry.display_name or entry.id,
        "created_at": to_rfc3339(entry.created_at_s * US_PER_S),
        "max_input_tokens": entry.context_tokens_max,
        "max_tokens": entry.output_tokens_max,
        "lifecycle": "active",
        "retires_at": None,
        "capabilities": None,
    }
