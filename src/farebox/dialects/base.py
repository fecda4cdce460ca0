"""The words between a dialect and the rest of the house: what was asked, what was reported, and what a dialect can do.

Owns the types. Does not own any API's particulars (one package per dialect), money, or I/O.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

import msgspec

from farebox.errors import Refusal
from farebox.usage import Demand, Usage

Kind = Literal["metered", "free", "owned", "models", "model", "probe"]
"""What becomes of a request: held, forwarded and charged; forwarded for nothing; forwarded for the account that made the object it is
about; answered by the gateway itself (the listing of models, one model, a client's first probe)."""
Headers = Sequence[tuple[bytes, bytes]]
"""Header lines as they came; names in lower case."""

Fault = Literal["account", "busy", "caller", "provider"]
"""Whose trouble an upstream error is: the operator's account with the provider, a passing overload, the caller's request, the provider."""

OUTPUT_UNSEEN = "output_unseen"
"""The flag of a report without usage whose answer need not show what was generated: it was broken off while nobody listened."""


class Route(msgspec.Struct, frozen=True, gc=False):
    """One place to go."""

    dialect: str
    name: str
    method: str
    upstream_path: str = ""
    """The path behind the provider's base URL; empty where nothing is forwarded, or where the dialect makes it."""
    kind: Kind = "metered"
    argument: str = ""
    """What the path names: a model, a voice, an object's id."""
    query: bytes = b""
    """The query, where the dialect reads something in it."""
    provider: str = ""
    """Whose the model is that the request names, where its path or its credential says so."""


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
    binary: bool = False
    """The answer is neither JSON nor events (audio): it is relayed in pieces, as a stream is."""
    answer_type: str = ""
    """The content type the client gets, where a meter turns one format into another; empty: the provider's own."""
    background: bool = False
    """The provider answers later, outside this call: the hold stays open until it has."""
    stores: tuple[str, ...] = ()
    """Kinds of objects that the provider keeps of this call, and that the answer names."""
    uses: tuple[tuple[str, str], ...] = ()
    """(kind, id) of objects kept by the provider that the request names: only its own account's may be."""
    own_input_max: int | None = None
    """Where what is named (a response, items) brings more input than the body: the bound of the body alone. With the tokens recorded of all that
    it bounds the call; where they are not, `demand` does.
    """
    leaves_total: bool = True
    """Whether a response's own tokens are all that it can bring to one that goes on from it. Not where the provider left something out."""
    own_runs: int = 1
    """How often the model may run over all of that: once more for each call of the provider's own tools."""
    facts: Any = None
    """What the endpoint that read the request wants to know again when it reads the answer. Nobody else looks at it. Of a request in the
    background it is kept as JSON, and comes back as that gives it: lists and dicts.
    """


class Made(msgspec.Struct, frozen=True):
    """Something that the provider now keeps beside the answer itself."""

    kind: str
    id: str
    tokens_max: int | None = None
    """The most input tokens that it brings into a later request to the same model. None: not known."""
    tokens_anywhere_max: int | None = None
    """The same at any model: by its bytes."""


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
    made: tuple[Made, ...] = ()
    """What else the provider now keeps; `response_id` names the first of the kinds that the request stores."""
    poll_target: str = ""
    """Not over: the provider goes on in the background, and tells there (path and query behind its base URL) how far it is."""
    flags: tuple[str, ...] = ()
    shown: bytes | None = None
    """What the client gets instead of the provider's whole answer, where it asked for another format than can be metered."""


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


class Endpoint(Protocol):
    """One route of a dialect that has several. Pure."""

    def ask(self, route: Route, body: bytes, headers: Mapping[bytes, bytes]) -> Ask:
        """Reads and bounds a request. Raises InvalidRequest, AmbiguousBody, CostUnbounded or TooLarge. Header names are lower-case."""
        ...

    def rewrite(self, ask: Ask, body: bytes, *, model: str | None, output_cap: int | None) -> bytes:
        """The body to send upstream: values replaced or inserted at their byte spans, nothing else; the same object when nothing changes."""
        ...

    def read_answer(self, ask: Ask, body: bytes, headers: Mapping[bytes, bytes]) -> Report:
        """Reads the whole body of a 200 that is not streamed. Never raises on what the provider sent."""
        ...

    def stream(self, ask: Ask, headers: Mapping[bytes, bytes]) -> StreamMeter:
        """A meter for one streamed answer; `headers` are the provider's."""
        ...


class Dialect(Endpoint, Protocol):
    """How one API speaks. Pure: bytes and values in, bytes and values out."""

    name: str
    forwards: tuple[bytes, ...]
    """What the names of a client's headers begin with that go to the provider, beside the ones that always do."""
    returns: frozenset[bytes]
    """The names of a provider's headers that go to the client, beside the ones that always do."""

    no_stream: tuple[bytes, ...]
    """Content types that are no stream here: an error page, or a whole answer where a stream was asked for."""

    def target(self, ask: Ask, route: Route, model: str, query: bytes) -> str:
        """The path behind the provider's base URL, and of the query what may go along."""
        ...

    def hides_output(self, model: str) -> bool:
        """Whether a model may bill output that is not shown: asked again when a rewrite sends the request to another model."""
        ...

    def refusal(self, refusal: Refusal, request_id: str) -> bytes:
        """The JSON body of a refusal, in this API's words."""
        ...

    def error_frame(self, refusal: Refusal, request_id: str, ask: Ask | None = None) -> bytes:
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
