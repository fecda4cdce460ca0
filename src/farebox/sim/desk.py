"""What handlers of routes work with: one call from its request to its reply, in the order of the provider's checks; and what is kept between calls.

Owns the state of a simulator: the bill, and the stored objects of its dialects. Does no I/O.
"""

import time
from collections import OrderedDict
from collections.abc import Callable

from .bill import Bill, Call, State
from .dialect import Dialect, HeadsErrors
from .generation import Generation, plan
from .options import PLAIN_OPTIONS, Options
from .prices import find_model
from .refusals import RefusedError, too_large
from .replies import Reply, generated, plain
from .wire import BODY_BYTES_MAX, JSON, Request

KEPT_MAX = 10_000
REFUSED_KEYS_MAX = 1000
_CREDENTIALS = (b"authorization", b"x-api-key", b"x-goog-api-key", b"api-key", b"xi-api-key")
_MODEL_NAME_MAX = 128


class Kept:
    """Stored objects by id, whatever they are to their dialect. The oldest leave when there are too many."""

    def __init__(self) -> None:
        self._objects: OrderedDict[str, object] = OrderedDict()

    def put(self, name: str, thing: object) -> None:
        """Keep something under a name."""
        self._objects[name] = thing
        if len(self._objects) > KEPT_MAX:
            self._objects.popitem(last=False)

    def get(self, name: str) -> object | None:
        """What is kept under a name."""
        return self._objects.get(name)

    def drop(self, name: str) -> bool:
        """Forget it. Whether it was there."""
        return self._objects.pop(name, None) is not None

    def clear(self) -> None:
        """Forget everything."""
        self._objects.clear()


class Desk:
    """The bill, the clock and the shelf of one simulator, and the way a call takes."""

    def __init__(self, bill: Bill, clock: Callable[[], float] = time.time, options: Options = PLAIN_OPTIONS) -> None:
        self.bill = bill
        self.options = options
        self.kept = Kept()
        self.refused_keys: dict[bytes, tuple[int, str]] = {}
        """Keys that are refused, each with the status and the error's code."""
        self.clock = clock

    def check_key(self, request: Request) -> None:
        """Raise `RefusedError` where the call's key is one that is refused."""
        for name in _CREDENTIALS:
            refused = self.refused_keys.get(request.headers.get(name, b"").removeprefix(b"Bearer "))
            if refused is not None:
                raise RefusedError(refused[0], f"Simulated refusal of this key, {refused[0]}.", code=refused[1])

    def generate(self, dialect: Dialect, request: Request) -> Reply:
        """The reply to a call that generates. It stands on the bill, refused or not."""
        now_s = int(self.clock())
        call = self.bill.open(dialect.name, dialect.provider, now_s)
        call_id = self.bill.id_of(call)
        try:
            generation = self._plan(dialect, request, call, call_id)
        except RefusedError as refused:
            call.status, call.state, call.input = refused.status, State.REFUSED, refused.billed
            return refuse(dialect, refused, request, call_id)
        headers = b"%b: %b\r\n%b%b" % (dialect.id_header, call_id, dialect.account_headers, generation.ask.headers)
        return generated(dialect, generation, request, headers, call)

    def answer(
        self, dialect: Dialect, request: Request, body: bytes, *, content_type: bytes = JSON, headers: bytes = b"", status: int = 200
    ) -> Reply:
        """The reply to a call that costs nothing and stands on no bill."""
        written = id_headers(dialect, self.bill.loose_id()) + headers
        return plain(request, body, status=status, headers=written, content_type=content_type)

    def _plan(self, dialect: Dialect, request: Request, call: Call, call_id: bytes) -> Generation:
        """Check the call as the provider does, in its order, and note on its record what is known of it."""
        admit(dialect, request)
        ask = dialect.read(request)
        words = ask.words
        call.label = self.bill.once(words.bill)
        call.model = self.bill.once(ask.model[:_MODEL_NAME_MAX])
        call.cap, call.streamed = ask.cap, ask.streamed
        model = find_model(dialect.provider, ask.model) if len(ask.model) <= _MODEL_NAME_MAX else None
        if model is None:
            raise dialect.unknown_model(ask.model)
        if words.status and (words.fail is None or not ask.streamed):
            billed = ask.prompt if ask.refusal_billed else 0
            raise RefusedError(words.status, f"Simulated error {words.status}.", code=words.code, delay_ms=words.delay, billed=billed)
        if model.context_window is not None and ask.prompt > model.context_window and not ask.several:
            raise dialect.too_long(ask.prompt, model.context_window)
        generation = plan(ask, model, call_id, call.at_s)
        call.terms = generation.terms
        return generation


def admit(dialect: Dialect, request: Request) -> None:
    """The checks before a body is looked at. Raises `RefusedError`: any credential will do, but there must be one; and a body has a limit."""
    if not dialect.has_credential(request):
        raise dialect.no_credential()
    if request.too_large:
        raise too_large(BODY_BYTES_MAX)


def check_model(dialect: Dialect, name: str) -> None:
    """Raise `RefusedError` unless the provider has the model."""
    if len(name) > _MODEL_NAME_MAX or find_model(dialect.provider, name) is None:
        raise dialect.unknown_model(name)


def refuse(dialect: Dialect, refused: RefusedError, request: Request, call_id: bytes) -> Reply:
    """The answer that says no."""
    headers = id_headers(dialect, call_id)
    if isinstance(dialect, HeadsErrors):
        headers += dialect.error_headers(refused)
    return plain(request, dialect.error(refused, call_id), status=refused.status, headers=headers, delay_ms=refused.delay_ms)


def id_headers(dialect: Dialect, call_id: bytes) -> bytes:
    """The line of the head that carries the request id."""
    return b"%b: %b\r\n" % (dialect.id_header, call_id)
