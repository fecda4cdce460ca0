"""Answers as scripts: what to send, how long to wait, when to hang or to drop the connection. Pure; the connection acts them out.

A script ends its call's meter before it hands out its last bytes, so whoever has read an answer finds it on the bill.
"""

from collections.abc import Iterator
from enum import Enum, auto

from .bill import Call, Meter, State, settle
from .dialect import Dialect
from .generation import Generation
from .refusals import RefusedError
from .spoil import Spoilt, spoil_answer
from .wire import JSON, LAST_CHUNK, SSE, Request, chunk, head, stays_open


class Act(Enum):
    """What a script can ask for besides sending and waiting."""

    HANG = auto()
    """Send nothing more and wait for the peer to leave."""
    DROP = auto()
    """Close the connection once what was handed over is sent."""


Step = bytes | int | Act
"""Bytes to send, milliseconds to wait, or an act."""
Script = Iterator[Step]


class Reply:
    """One answer: bytes at once, or a script; and whether the connection stays open after it."""

    __slots__ = ("data", "keep_alive", "meter", "script")

    def __init__(self, keep_alive: bool, data: bytes = b"", script: Script | None = None, meter: Meter | None = None) -> None:
        self.data = data
        self.keep_alive = keep_alive
        self.script = script
        self.meter = meter

    def left(self) -> None:
        """The peer left before the end."""
        if self.meter is not None:
            self.meter.end(State.ABORTED)


def plain(
    request: Request, body: bytes, *, status: int = 200, headers: bytes = b"", content_type: bytes = JSON, delay_ms: int = 0
) -> Reply:
    """A whole answer, sent as it is."""
    written = head(status, content_type, headers, len(body), request)
    if request.method != b"HEAD":
        written += body
    if delay_ms:
        return Reply(request.keep_alive, script=iter((delay_ms, written)))
    return Reply(request.keep_alive, written)


def generated(dialect: Dialect, generation: Generation, request: Request, headers: bytes, call: Call) -> Reply:
    """The answer to a call that generates."""
    ask, words = generation.ask, generation.ask.words
    if not ask.streamed and words.at_once:
        settle(call, generation, State.FINISHED)
        return plain(request, dialect.answer(generation), headers=headers, content_type=ask.content_type or JSON)
    meter = Meter(call, generation)
    if words.garbage:
        return Reply(request.keep_alive, script=_spoilt(dialect, generation, request, headers, meter), meter=meter)
    if ask.streamed:
        return Reply(stays_open(request, None), script=_streamed(dialect, generation, request, headers, meter), meter=meter)
    return Reply(request.keep_alive, script=_whole(dialect, generation, request, headers, meter), meter=meter)


def _whole(dialect: Dialect, generation: Generation, request: Request, headers: bytes, meter: Meter) -> Script:
    """An answer that is not streamed. Cut or stalled at 0 nothing of it is sent, at any other number its first half."""
    words = generation.ask.words
    if words.delay:
        yield words.delay
    body = dialect.answer(generation)
    written = head(200, generation.ask.content_type or JSON, headers, len(body), request)
    stop = words.stall if words.cut is None else words.cut
    if stop is None:
        meter.end(State.FINISHED)
        yield written + body
        return
    if stop:
        yield written + body[: len(body) // 2]
    yield from _stop(generation, meter)


def _streamed(dialect: Dialect, generation: Generation, request: Request, headers: bytes, meter: Meter) -> Script:
    """A stream, one write for each event; the last one leaves together with the end of the body."""
    words = generation.ask.words
    if words.delay:
        yield words.delay
    yield head(200, generation.ask.content_type or SSE, headers + b"cache-control: no-cache\r\n", None, request)
    stop = next((count for count in (words.cut, words.stall, words.fail) if count is not None), -1)
    sent, waiting = 0, b""
    for data, tokens in dialect.frames(generation):
        if waiting:
            yield waiting
            waiting = b""
        if sent == stop:
            yield from _stop_stream(dialect, generation, request, meter)
            return
        if not tokens:
            waiting = chunk(data, request)
            continue
        if words.pace and sent:
            yield words.pace
        sent += 1
        meter.sent += tokens
        yield chunk(data, request)
    meter.end(State.FINISHED)
    yield waiting + _end(request)


def _stop_stream(dialect: Dialect, generation: Generation, request: Request, meter: Meter) -> Script:
    words = generation.ask.words
    if words.cut is not None or words.stall is not None:
        yield from _stop(generation, meter)
        return
    meter.end(State.BROKEN)
    failure = RefusedError(words.status or 500, "Simulated failure in the middle of the stream.", code=words.code)
    yield chunk(dialect.error_frame(failure, generation.id), request) + _end(request)


def _stop(generation: Generation, meter: Meter) -> Script:
    """Drop the connection, or hang until the peer leaves."""
    if generation.ask.words.cut is not None:
        meter.end(State.BROKEN)
        yield Act.DROP
    while True:
        yield Act.HANG


def _end(request: Request) -> bytes:
    return LAST_CHUNK if request.takes_chunks else b""


def _spoilt(dialect: Dialect, generation: Generation, request: Request, headers: bytes, meter: Meter) -> Script:
    """An answer that is none, as `sim:garbage` asks."""
    words = generation.ask.words
    if words.delay:
        yield words.delay
    if words.garbage == "nothing":
        meter.end(State.BROKEN)
        yield Act.DROP
        return
    spoilt = _spoil(dialect, generation)
    meter.end(State.BROKEN if spoilt.missing else State.FINISHED)
    yield head(200, spoilt.content_type, headers + spoilt.headers, len(spoilt.body) + spoilt.missing, request) + spoilt.body
    if spoilt.missing:
        yield Act.DROP


def _spoil(dialect: Dialect, generation: Generation) -> Spoilt:
    how = generation.ask.words.garbage
    if generation.ask.streamed:
        return spoil_answer([data for data, _ in dialect.frames(generation)], generation.ask.content_type or SSE, how)
    return spoil_answer([dialect.answer(generation)], generation.ask.content_type or JSON, how)
