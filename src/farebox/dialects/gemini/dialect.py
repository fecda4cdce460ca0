"""The Gemini dialect: the parts put together, and its own words for errors and listings (providers.md §1.7, §1.8, §3.1)."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from farebox import limits
from farebox.dialects import faults, words
from farebox.dialects.base import Ask, Fault, ModelEntry, Report, Route, StreamMeter
from farebox.dialects.extras import Bounds
from farebox.dialects.faults import Trouble
from farebox.dialects.gemini import answer, embeddings, request, rewrite
from farebox.dialects.gemini.answer import Framing
from farebox.dialects.gemini.paths import METHODS
from farebox.dialects.meter import as_text, decode
from farebox.errors import InvalidRequest, Refusal

_STATUSES = {
    401: "UNAUTHENTICATED",
    402: "RESOURCE_EXHAUSTED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_ACCOUNT_REASONS = frozenset(("API_KEY_INVALID", "API_KEY_SERVICE_BLOCKED", "BILLING_DISABLED", "SERVICE_DISABLED", "CONSUMER_SUSPENDED"))
_ACCOUNT_MESSAGES = ("api key not valid", "api key expired", "user location is not supported")
_ACCOUNT_STATUS = "FAILED_PRECONDITION"
"""The operator's place or plan is not served; nothing that a request says brings it about."""
_EMBEDDINGS = frozenset(("embed_content", "batch_embed_contents"))
_PAGE_DEFAULT = 50
_OTHER_APIS = "claude"
"""Sold under the same prices' name, by another API."""


class _Error(msgspec.Struct):
    error: Any = None


_BOUNDS = Bounds("gemini")
_ERROR = msgspec.json.Decoder(_Error | list[_Error])


class Gemini:
    """What Google's own SDK and plain callers of the API speak."""

    name = "gemini"
    forwards: tuple[bytes, ...] = (b"x-goog-api-client",)
    no_stream: tuple[bytes, ...] = (b"text/html",)
    returns: frozenset[bytes] = frozenset()

    def __init__(self, bounds: Bounds = _BOUNDS) -> None:
        """`bounds`: what the provider's settings admit."""
        self._bounds = bounds

    def ask(self, route: Route, body: bytes, headers: Mapping[bytes, bytes]) -> Ask:  # noqa: ARG002 - no header moves cost
        """Reads and bounds a request."""
        if route.name in _EMBEDDINGS:
            return embeddings.read_request(route, body, self._bounds)
        if route.name == "count_tokens":
            return request.read_count(route, body)
        ask = request.read(route, body, self._bounds)
        if ask.stream and not _is_sse(route.query):
            ask.facts = Framing()
        return ask

    def target(self, ask: Ask, route: Route, model: str, query: bytes) -> str:  # noqa: ARG002 - the rest of it is the caller's key
        """The path behind the base URL, and how a stream is to be written; nothing else of the query."""
        target = f"{route.upstream_path}{model}:{METHODS[route.name]}"
        return target + "?alt=sse" if ask.stream and ask.facts is None else target

    def hides_output(self, model: str) -> bool:
        """Whether a model may think unseen."""
        return request.hides_output(model)

    def rewrite(self, ask: Ask, body: bytes, *, model: str | None, output_cap: int | None) -> bytes:
        """Sets the model where the body names it, and the output cap."""
        if model is not None and model != ask.model:
            body = rewrite.with_model(ask, body, model)
        if output_cap is not None and output_cap != ask.demand.output_tokens_named:
            body = rewrite.with_cap(ask, body, output_cap)
        return body

    def read_answer(self, ask: Ask, body: bytes, headers: Mapping[bytes, bytes]) -> Report:  # noqa: ARG002 - nothing in them is metered
        """Reads a whole answer."""
        return embeddings.read_answer(ask, body) if ask.route in _EMBEDDINGS else answer.read(ask, body)

    def stream(self, ask: Ask, headers: Mapping[bytes, bytes]) -> StreamMeter:  # noqa: ARG002 - nothing in them is metered
        """A meter for one streamed answer: of events, or of one array."""
        return answer.ArrayMeter(ask, ask.facts) if isinstance(ask.facts, Framing) else answer.EventMeter(ask)

    def refusal(self, refusal: Refusal, request_id: str) -> bytes:
        """`{"error": {code, message, status, farebox}}`."""
        error = {
            "code": refusal.status,
            "message": words.message(refusal),
            "status": _STATUSES.get(refusal.status, "INVALID_ARGUMENT"),
            "farebox": words.facts(refusal, request_id),
        }
        return msgspec.json.encode({"error": error})

    def error_frame(self, refusal: Refusal, request_id: str, ask: Ask | None = None) -> bytes:
        """The event on which the SDK raises; in an array its last element. Never a comment: the SDK takes one for a broken answer."""
        error = self.refusal(refusal, request_id)
        if ask is None or not isinstance(ask.facts, Framing):
            return b"data: " + error + b"\r\n\r\n"
        return (b",\r\n" if ask.facts.begun else b"[") + error + b"]"

    def models(self, entries: Sequence[ModelEntry], *, limit: int | None = None, after_id: str | None = None) -> bytes:
        """One page of the listing of models; a page's token is the last model of the one before."""
        known = [entry for entry in entries if not entry.id.rpartition("/")[2].startswith(_OTHER_APIS)]
        start = next((index + 1 for index, entry in enumerate(known) if entry.id == after_id), 0)
        page = known[start : start + max(1, min(limit or _PAGE_DEFAULT, limits.page_rows_max))]
        listing: dict[str, Any] = {"models": [_model(entry) for entry in page]}
        if start + len(page) < len(known):
            listing["nextPageToken"] = page[-1].id
        return msgspec.json.encode(listing)

    def model(self, entry: ModelEntry) -> bytes:
        """One model."""
        return msgspec.json.encode(_model(entry))

    def fault(self, status: int, body: bytes) -> Fault:
        """Whose trouble an upstream error is."""
        said = _trouble(body)
        if said.code in _ACCOUNT_REASONS or said.type == _ACCOUNT_STATUS or faults.says(said, _ACCOUNT_MESSAGES):
            return "account"
        return faults.by_status(status, said)


def _is_sse(query: bytes) -> bool:
    """What `alt` asks for. Raises InvalidRequest where that is neither events nor JSON, or more than one of them."""
    try:
        asked = {
            value
            for name, value in parse_qsl(query.decode("latin-1"), max_num_fields=limits.request_headers_max)
            if name in ("alt", "$alt")
        }
    except ValueError:
        raise InvalidRequest(problem="The query has too many fields.") from None
    if asked not in (set(), {"sse"}, {"json"}):
        raise InvalidRequest(problem="`alt` must be sse or json.", field="alt")
    return asked == {"sse"}


def _trouble(body: bytes) -> Trouble:
    """The status of an error, alone or in an array, and the reason among its details."""
    told = decode(_ERROR, body)
    if isinstance(told, list):
        told = told[0] if told else None
    error = told.error if told is not None else None
    if type(error) is not dict:
        return Trouble()
    details = error.get("details")
    reasons = [as_text(detail.get("reason")) for detail in (details if type(details) is list else ()) if type(detail) is dict]
    reason = next((one for one in reasons if one), "")
    return Trouble(readable=True, type=as_text(error.get("status")), code=reason, message=as_text(error.get("message")))


def _model(entry: ModelEntry) -> dict[str, Any]:
    embeds = "embedding" in entry.id
    told: dict[str, Any] = {"name": f"models/{entry.id}", "version": "", "displayName": entry.display_name or entry.id}
    if entry.context_tokens_max is not None:
        told["inputTokenLimit"] = entry.context_tokens_max
    if entry.output_tokens_max is not None and not embeds:
        told["outputTokenLimit"] = entry.output_tokens_max
    methods = ("embedContent", "batchEmbedContents") if embeds else ("generateContent", "streamGenerateContent", "countTokens")
    return {**told, "supportedGenerationMethods": methods}
