"""The Bedrock dialect: the parts put together, and its own words for errors and listings (providers.md §4)."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from farebox.dialects import faults
from farebox.dialects.base import Ask, Fault, ModelEntry, Report, Route, StreamMeter
from farebox.dialects.bedrock import answer, refusing, request, rewrite
from farebox.dialects.bedrock.paths import ACTIONS, escaped
from farebox.dialects.extras import Bounds
from farebox.dialects.faults import Trouble
from farebox.dialects.meter import as_text, decode
from farebox.errors import Refusal

_ACCOUNT_MESSAGES = (
    "model use case details have not been submitted",
    "operation not allowed",
    "your account is not authorized",
    "you don't have access to the model",
    "the security token included in the request is expired",
)
"""Told with other statuses than 401 to 403, too."""


_BOUNDS = Bounds("bedrock")


class _Body(msgspec.Struct):
    message: Any = None
    Message: Any = None


_BODY = msgspec.json.Decoder(_Body)


class Bedrock:
    """Converse, as AWS' SDKs speak it."""

    name = "bedrock"
    forwards: tuple[bytes, ...] = ()
    no_stream: tuple[bytes, ...] = (b"text/html", b"application/json")
    returns = frozenset((b"x-amzn-requestid", b"x-amzn-errortype"))

    def __init__(self, bounds: Bounds = _BOUNDS) -> None:
        """`bounds`: what the provider's settings admit."""
        self._bounds = bounds

    def ask(self, route: Route, body: bytes, headers: Mapping[bytes, bytes]) -> Ask:  # noqa: ARG002 - none that goes along moves cost
        """Reads and bounds a request to converse, or to count."""
        return request.read_count(route, body) if route.name == "count_model_tokens" else request.read(route, body, self._bounds)

    def target(self, ask: Ask, route: Route, model: str, query: bytes) -> str:  # noqa: ARG002 - this API has no queries
        """The path behind the base URL: the ARN that was asked for, where its model is the one that is meant."""
        named = ask.facts if ask.model.rpartition("/")[2] == model else ""
        return f"/model/{escaped(named or model)}/{ACTIONS[route.name]}"

    def hides_output(self, model: str) -> bool:  # noqa: ARG002 - the same for all
        """A call that is broken off is generated, and billed, to its end: what was seen of it bounds nothing (providers.md §5.1)."""
        return True

    def rewrite(self, ask: Ask, body: bytes, *, model: str | None, output_cap: int | None) -> bytes:  # noqa: ARG002 - the path has the model
        """Sets the output cap."""
        if output_cap is None or output_cap == ask.demand.output_tokens_named:
            return body
        return rewrite.with_cap(ask, body, output_cap)

    def read_answer(self, ask: Ask, body: bytes, headers: Mapping[bytes, bytes]) -> Report:  # noqa: ARG002 - nothing in them is metered
        """Reads a whole answer."""
        return answer.read(ask, body)

    def stream(self, ask: Ask, headers: Mapping[bytes, bytes]) -> StreamMeter:  # noqa: ARG002 - nothing in them is metered
        """A meter for one streamed answer."""
        return answer.ConverseMeter(ask)

    def refusal(self, refusal: Refusal, request_id: str) -> bytes:
        """`{message, farebox}`; its kind stands in the head (`error_type`)."""
        return refusing.body(refusal, request_id)

    def error_frame(self, refusal: Refusal, request_id: str, ask: Ask | None = None) -> bytes:  # noqa: ARG002 - one kind of stream
        """The exception that ends a stream."""
        return refusing.frame(refusal, request_id)

    def models(self, entries: Sequence[ModelEntry], *, limit: int | None = None, after_id: str | None = None) -> bytes:  # noqa: ARG002 - this API has no pages
        """The listing of models."""
        return msgspec.json.encode({"modelSummaries": [_model(entry) for entry in entries]})

    def model(self, entry: ModelEntry) -> bytes:
        """One model."""
        return msgspec.json.encode({"modelDetails": _model(entry)})

    def fault(self, status: int, body: bytes) -> Fault:
        """Whose trouble an upstream error is."""
        told = decode(_BODY, body)
        message = as_text(told.message) or as_text(told.Message) if told is not None else ""
        said = Trouble(readable=told is not None, message=message)
        return "account" if faults.says(said, _ACCOUNT_MESSAGES) else faults.by_status(status, said)


def _model(entry: ModelEntry) -> dict[str, Any]:
    return {
        "modelId": entry.id,
        "modelArn": "",
        "modelName": entry.display_name or entry.id,
        "providerName": entry.owned_by,
        "responseStreamingSupported": True,
        "inferenceTypesSupported": ["ON_DEMAND"],
    }
