"""The simulator's routes: which dialect or which page of the bill answers a request. Owns the order of the provider's checks; does no I/O."""

import time
from collections.abc import Callable
from functools import partial
from urllib.parse import parse_qsl, unquote

import msgspec

from . import catalogue
from .anthropic_messages import AnthropicMessages
from .bill import ROWS_MAX, Bill, Call, State
from .dialect import Dialect
from .generation import Generation, plan
from .openai_chat import OpenAIChat
from .prices import find_model
from .refusals import RefusedError, invalid, no_route, too_large, wrong_method
from .replies import Reply, generated, plain
from .wire import BODY_BYTES_MAX, Request

READ_HEADERS = frozenset({b"authorization", b"x-api-key", b"anthropic-version", b"expect"})
"""The request headers that anything here looks at."""
_MODEL_NAME_MAX = 128
_OPENAI = OpenAIChat()
_ANTHROPIC = AnthropicMessages()

Handler = Callable[[Request], Reply]


class Site:
    """Everything that answers requests: state is the bill, nothing else."""

    def __init__(self, bill: Bill, clock: Callable[[], float] = time.time) -> None:
        self.bill = bill
        self._clock = clock
        self._routes: dict[bytes, tuple[bytes, Handler]] = {
            b"/v1/chat/completions": (b"POST", partial(self._generate, _OPENAI)),
            b"/v1/messages": (b"POST", partial(self._generate, _ANTHROPIC)),
            b"/v1/messages/count_tokens": (b"POST", self._count),
            b"/v1/models": (b"GET", self._models),
            b"/sim/calls": (b"GET", self._calls),
            b"/sim/bill": (b"GET", self._totals),
            b"/sim/reset": (b"POST", self._reset),
            b"/": (b"HEAD", lambda request: plain(request, b"")),
        }

    def answer(self, request: Request) -> Reply:
        """The reply to any request."""
        path = request.target.partition(b"?")[0]
        try:
            method, handler = self._routes.get(path) or self._route_by_prefix(request, path)
            if request.method != method:
                raise wrong_method(_shown(request.method), _shown(path))
            return handler(request)
        except RefusedError as refused:
            return _refuse(_dialect_of(request), refused, request, self.bill.loose_id())

    def _route_by_prefix(self, request: Request, path: bytes) -> tuple[bytes, Handler]:
        name = path.removeprefix(b"/v1/models/")
        if name == path or not name:
            raise no_route(_shown(request.method), _shown(path))
        return b"GET", lambda request: self._model(request, unquote(name.decode("latin-1")))

    # --- calls that generate -----------------------------------------------------------------------------------------------------

    def _generate(self, dialect: Dialect, request: Request) -> Reply:
        now_s = int(self._clock())
        call = self.bill.open(dialect.name, dialect.provider, now_s)
        call_id = self.bill.id_of(call)
        try:
            generation = self._plan(dialect, request, call, call_id)
        except RefusedError as refused:
            call.status, call.state = refused.status, State.REFUSED
            return _refuse(dialect, refused, request, call_id)
        headers = b"%b: %b\r\n%b" % (dialect.id_header, call_id, dialect.account_headers)
        return generated(dialect, generation, request, headers, call)

    def _plan(self, dialect: Dialect, request: Request, call: Call, call_id: bytes) -> Generation:
        """Check the call as the provider does, in its order, and note on its record what is known of it."""
        _authenticate(dialect, request)
        ask = dialect.read(_body(request))
        words = ask.words
        call.label = self.bill.once(words.bill)
        call.model = self.bill.once(ask.model[:_MODEL_NAME_MAX])
        call.cap, call.streamed = ask.cap, ask.streamed
        model = find_model(dialect.provider, ask.model) if len(ask.model) <= _MODEL_NAME_MAX else None
        if model is None:
            raise dialect.unknown_model(ask.model)
        if words.status and (words.fail is None or not ask.streamed):
            raise RefusedError(words.status, f"Simulated error {words.status}.", code=words.code, delay_ms=words.delay)
        if model.context_window is not None and ask.prompt > model.context_window:
            raise dialect.too_long(ask.prompt, model.context_window)
        generation = plan(ask, model, call_id, call.at_s)
        call.terms = generation.terms
        return generation

    # --- calls that do not -------------------------------------------------------------------------------------------------------

    def _count(self, request: Request) -> Reply:
        _authenticate(_ANTHROPIC, request)
        model, body = _ANTHROPIC.count(_body(request))
        if len(model) > _MODEL_NAME_MAX or find_model(_ANTHROPIC.provider, model) is None:
            raise _ANTHROPIC.unknown_model(model)
        return plain(request, body, headers=_id_headers(_ANTHROPIC, self.bill.loose_id()))

    def _models(self, request: Request) -> Reply:
        dialect = _dialect_of(request)
        _authenticate(dialect, request)
        body = catalogue.openai_models() if dialect is _OPENAI else catalogue.anthropic_models(_query(request))
        return plain(request, body, headers=_id_headers(dialect, self.bill.loose_id()))

    def _model(self, request: Request, name: str) -> Reply:
        dialect = _dialect_of(request)
        _authenticate(dialect, request)
        body = catalogue.openai_model(name) if dialect is _OPENAI else catalogue.anthropic_model(name)
        return plain(request, body, headers=_id_headers(dialect, self.bill.loose_id()))

    # --- the bill ----------------------------------------------------------------------------------------------------------------

    def _calls(self, request: Request) -> Reply:
        query = _query(request)
        try:
            rows, more_after = self.bill.rows(query.get("label"), query.get("after"), ROWS_MAX)
        except ValueError as problem:
            raise invalid(str(problem)) from None
        return plain(request, msgspec.json.encode({"data": rows, "next": more_after}))

    def _totals(self, request: Request) -> Reply:
        by = _query(request).get("by", "label")
        if by not in {"label", "model"}:
            raise invalid("by is label or model")
        return plain(request, msgspec.json.encode(self.bill.totals("model" if by == "model" else "label")))

    def _reset(self, request: Request) -> Reply:
        self.bill.reset()
        return plain(request, b'{"reset":true}')


def _refuse(dialect: Dialect, refused: RefusedError, request: Request, call_id: bytes) -> Reply:
    headers = _id_headers(dialect, call_id)
    return plain(request, dialect.error(refused, call_id), status=refused.status, headers=headers, delay_ms=refused.delay_ms)


def _id_headers(dialect: Dialect, call_id: bytes) -> bytes:
    return b"%b: %b\r\n" % (dialect.id_header, call_id)


def _dialect_of(request: Request) -> Dialect:
    """Whose words to use where the path does not tell."""
    path = request.target.partition(b"?")[0]
    if path.startswith(b"/v1/messages") or b"anthropic-version" in request.headers or b"x-api-key" in request.headers:
        return _ANTHROPIC
    return _OPENAI


def _authenticate(dialect: Dialect, request: Request) -> None:
    """Any credential will do, but there must be one."""
    scheme, _, secret = request.headers.get(b"authorization", b"").partition(b" ")
    if secret.strip() and scheme.lower() == b"bearer":
        return
    if dialect is _ANTHROPIC and request.headers.get(b"x-api-key"):
        return
    raise dialect.no_credential()


def _body(request: Request) -> bytes:
    if request.too_large:
        raise too_large(BODY_BYTES_MAX)
    return request.body


def _query(request: Request) -> dict[str, str]:
    return dict(parse_qsl(request.target.partition(b"?")[2].decode("latin-1")))


def _shown(part: bytes) -> str:
    return part[:200].decode("latin-1")
