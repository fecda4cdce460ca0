"""The words between a dialect and the rest of the house: what was asked, what was reported, and what a dialect can do.

Owns the types. Does not own any API's particulars (one package per dialect), money, or I/O.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from farebox.errors import Refusal
from farebox.usage import Demand, Usage

Fault = Literal["account", "busy", "caller", "provider"]
"""Whose trouble an upstream error is: the operator's account with the provider, a passing overload, the caller's request, the provider."""


class Ask(msgspec.Struct):
    """One request, read: all that the quote, the rewrite and the meter need to know about its body."""

    dialect: str
    route: str
    model: str
    stream: bool
    demand: Demand
    hides_usage: bool = False
    """The stream's usage was not asked for by the client: it is asked for on its behalf and taken out again."""
    hidden_output: bool = True
    """The model may be billed for output that the answer does not show (reasoning). False only where that is sure."""
    unknown_fields: tuple[str, ...] = ()
    """Top-level fields that this dialect does not know. They pass; they are counted by name. Bounded in number and length."""
    messages: int = 0
    tools: int = 0
    cap_field: str = ""
    """The member that carries the output cap: the one the caller used, else the one to insert."""
    names: frozenset[str] = frozenset()
    """Every top-level name of the body: decides between replacing and inserting without reading it again."""


class Report(msgspec.Struct):
    """What an answer said about itself."""

    usage: Usage | None = None
    """The provider's own final report; None if missing, partial or absurd (the flags say which)."""
    input_seen: Usage | None = None
    """Exact input units seen early, for calls that end without a final report."""
    delivered_bytes: int = 0
    """UTF-8 bytes of the generated output that the answer shows: text, refusals, tool names and arguments, shown reasoning."""
    finished: bool = False
    """The terminal event was seen, or a whole answer was read."""
    upstream_error: bool = False
    model_served: str = ""
    response_id: str = ""
    flags: tuple[str, ...] = ()


class ModelEntry(msgspec.Struct, frozen=True):
    """A model as the listings show it."""

    id: str
    owned_by: str = ""
    display_name: str = ""
    created_at_s: int = 0
    """Seconds since 1970 UTC; 0 when not known."""
    context_tokens_max: int | None = None
    output_tokens_max: int | None = None


class StreamMeter(Protocol):
    """Reads one upstream stream while it is relayed. Pieces may be split anywhere; what comes out does not depend on it."""

    finished: bool

    def feed(self, data: bytes) -> bytes:
        """What may be relayed now: complete events, in order, byte for byte but for usage the client did not ask for."""
        ...

    def close(self) -> bytes:
        """The upstream has ended. What of an unterminated last event may still be relayed; a broken piece is dropped."""
        ...

    @property
    def held_back(self) -> bytes:
        """The end of the stream, to be sent once the charge is durable: finish, usage and terminal events, in order."""
        ...

    def report(self) -> Report:
        """What is known now; at a disconnect that is a part."""
        ...


class Dialect(Protocol):
    """How one API speaks. Pure: bytes and values in, bytes and values out."""

    name: str

    def ask(self, route: str, body: bytes, headers: Mapping[bytes, bytes]) -> Ask:
        """Reads and bounds a request. Raises InvalidRequest, AmbiguousBody, CostUnbounded or TooLarge. Header names are lower-case."""
        ...

    def rewrite(self, ask: Ask, body: bytes, *, model: str | None, output_cap: int | None) -> bytes:
        """The body to send upstream: values replaced or inserted at their byte spans, nothing else; the same object when nothing changes."""
        ...

    def read_answer(self, ask: Ask, body: bytes) -> Report:
        """Reads the whole body of a 200 that is not streamed. Never raises on what the provider sent."""
        ...

    def stream(self, ask: Ask) -> StreamMeter:
        """A meter for one streamed answer."""
        ...

    def hides_output(self, model: str) -> bool:
        """Whether a model may bill output that is not shown: asked again when a rewrite sends the request to another model."""
        ...

    def refusal(self, refusal: Refusal, request_id: str) -> bytes:
        """The JSON body of a refusal, in this API's words."""
        ...

    def error_frame(self, refusal: Refusal, request_id: str) -> bytes:
        """The event that ends a stream with an error after its head was sent."""
        ...

    def models(self, entries: Sequence[ModelEntry], *, limit: int | None = None, after_id: str | None = None) -> bytes:
        """The listing of models; `limit` and `after_id` page it where the API has pages."""
        ...

    def model(self, entry: ModelEntry) -> bytes:
        """One model."""
        ...

    def fault(self, status: int, body: bytes) -> Fault:
        """Whose trouble an upstream error answer is."""
        ...
