"""One connection to an upstream: a request out, its response in, then the next. Owns the transport, its deadline and both directions of
back-pressure. How it was opened is `dial.py`'s business, when it is used again `pool.py`'s, what is a readable response `reader.py`'s.

A connection is in one of three states: carrying an answer, unused (in the pool or on its way to a call), or dead. Whatever is odd makes it
dead: only a connection whose last response ended exactly, with the request fully written, is used again.
"""

import asyncio
import select
from typing import Protocol, cast

from farebox.clock import Clock
from farebox.gateway.upstream.answer import Answer
from farebox.gateway.upstream.deadline import Deadline
from farebox.gateway.upstream.failures import BadAnswer, CutShort, FirstByteTimeout, IdleTimeout, NotAnswered, Sent, UpstreamFailed
from farebox.gateway.upstream.reader import Reader
from farebox.gateway.upstream.settings import UpstreamLimits

_WHOLE_BYTES = 64 * 1024
"""A body up to this size leaves with its head in one write; a larger one in slices of this size, as fast as the other side takes them."""
_REFUSAL = 300
"""From this status on the rest of a body is not sent: the answer will not depend on it."""


class Home(Protocol):
    """Where a connection belongs."""

    def freed(self, connection: "Connection") -> None:
        """It can be used again."""

    def gone(self, connection: "Connection") -> None:
        """It is dead and its place is free."""

    def lost(self, connection: "Connection") -> None:
        """Its socket is closed."""

    def failed(self, failure: UpstreamFailed) -> None:
        """A call on it failed."""


class Connection(asyncio.Protocol):
    """One connection. Given to one call at a time."""

    __slots__ = (
        "_answer",
        "_clock",
        "_dead",
        "_deadline",
        "_first_byte_s",
        "_home",
        "_limits",
        "_loop",
        "_poll",
        "_reader",
        "_reading_paused",
        "_rest",
        "_stopped_writing",
        "_transport",
        "_writing_paused",
        "idle_since",
        "uses",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, limits: UpstreamLimits, clock: Clock) -> None:
        self.uses = 0
        self.idle_since = 0.0
        self._loop = loop
        self._limits = limits
        self._clock = clock
        self._home: Home | None = None
        self._transport: asyncio.Transport | None = None
        self._poll = select.poll()
        self._deadline = Deadline(loop, self._overdue)
        self._reader = Reader(limits.head_bytes, limits.headers)
        self._answer: Answer | None = None
        self._rest = memoryview(b"")
        self._first_byte_s = limits.first_byte_s
        self._dead = self._stopped_writing = self._writing_paused = self._reading_paused = False

    @property
    def dead(self) -> bool:
        """Whether it is closed, or about to be, for whatever reason."""
        return self._dead

    # --- life -----------------------------------------------------------------------------------------------------------

    def settle(self, home: Home) -> None:
        """It belongs to a pool from here on, which hears of its end."""
        self._home = home

    def alive(self) -> bool:
        """Whether an unused connection can still be written to: nothing came on it, not even its end. One system call."""
        return not (self._dead or self._transport is None) and not self._transport.is_closing() and not self._poll.poll(0)

    def kill(self) -> None:
        """Close now. Idempotent."""
        self._die()
        if self._transport is not None:
            self._transport.abort()

    def _die(self) -> None:
        self._deadline.stop()
        if not self._dead and self._home is not None:
            self._dead = True
            self._home.gone(self)
        self._dead = True

    def _overdue(self) -> None:
        answer = self._answer
        if answer is None:
            self.kill()
        elif answer.status:
            self._fail(IdleTimeout, f"the provider was silent for {self._limits.idle_s:g} s in the middle of its answer")
        else:
            self._fail(FirstByteTimeout, f"no answer within {self._first_byte_s:g} s")

    # --- a call ---------------------------------------------------------------------------------------------------------

    def start(self, head: bytes, body: bytes, *, bodiless: bool, first_byte_s: float) -> Answer | None:
        """Write a request. None when nothing of it can have left this machine: the connection was closed already, or its first write
        failed as a whole (a TCP transport says so at once; a TLS transport does not, and then the request counts as sent).
        """
        transport = self._transport
        if self._dead or transport is None or transport.is_closing():
            return None
        whole = len(body) <= _WHOLE_BYTES
        transport.write(head + body if whole else head)
        if transport.is_closing():
            return None
        self.uses += 1
        self._reader.expect(bodiless=bodiless)
        self._first_byte_s = first_byte_s
        self._deadline.set(first_byte_s)
        answer = self._answer = Answer(self, self._loop)
        if not whole:
            self._rest = memoryview(body)
            self._write_on()
        return answer

    def _write_on(self) -> None:
        transport = self._transport
        while self._rest and not self._writing_paused and transport is not None and not transport.is_closing():
            piece, self._rest = self._rest[:_WHOLE_BYTES], self._rest[_WHOLE_BYTES:]
            transport.write(piece)

    def _sent(self) -> Sent:
        if self._rest or self._stopped_writing or self._writing_paused:
            return "part"
        if self._transport is not None and not self._transport.is_closing() and self._transport.get_write_buffer_size():
            return "part"
        return "all"

    def _finish(self, answer: Answer) -> None:
        """The response is whole. Use the connection again if nothing at all is left over in either direction."""
        reader, transport = self._reader, self._transport
        idle_s = self._limits.pooled_idle_s
        if reader.keep_alive_s is not None:  # a second early: a request must not cross the server's close on the wire
            idle_s = min(idle_s, reader.keep_alive_s - 1)
        self._answer = None
        answer.end()
        if (
            reader.reusable
            and not self._rest
            and not self._stopped_writing
            and transport is not None
            and not transport.is_closing()
            and not transport.get_write_buffer_size()
            and idle_s > 0
            and self._home is not None
        ):
            if self._reading_paused:
                self._resume_reading()
            self.idle_since = self._deadline.set(idle_s) - idle_s
            self._home.freed(self)
        else:
            self.kill()

    def _fail(self, kind: type[UpstreamFailed], problem: str) -> None:
        answer = self._answer
        if answer is not None:
            failure = self._failure(kind, problem, answer)
            self._answer = None
            if self._home is not None:
                self._home.failed(failure)
            answer.fail(failure)
        self.kill()

    def _failure(self, kind: type[UpstreamFailed], problem: str, answer: Answer) -> UpstreamFailed:
        return kind(problem, sent=self._sent(), connected=True, answered=answer.status != 0)

    def _broken(self, problem: str) -> None:
        answered = self._answer is not None and self._answer.status
        self._fail(CutShort if answered else NotAnswered, problem)

    # --- called by the answer -------------------------------------------------------------------------------------------

    def drained(self) -> None:
        answer = self._answer
        if self._reading_paused and answer is not None and answer.buffered_bytes <= self._limits.buffer_bytes // 2:
            self._resume_reading()
            self._deadline.set(self._limits.idle_s)

    def abandon(self) -> UpstreamFailed:
        answer = self._answer
        failure = CutShort("aborted by the caller", sent=self._sent(), connected=True, answered=answer is not None and answer.status != 0)
        self._answer = None
        self.kill()
        return failure

    def _pause_reading(self) -> None:
        # The silence from here on is ours, so no deadline runs.
        self._deadline.clear()
        if not self._reading_paused and self._transport is not None:
            self._reading_paused = True
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._reading_paused and self._transport is not None:
            self._reading_paused = False
            self._transport.resume_reading()

    # --- called by the event loop ---------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass of it
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        answer = self._answer
        if answer is None:  # nobody asked: what answers the next request could be this
            self.kill()
            return
        reader = self._reader
        piece = reader.feed(data)
        if not answer.status and reader.status:
            answer.begin(reader.status, reader.headers, reader.named, self._clock())
            if self._rest and reader.status >= _REFUSAL:
                self._rest, self._stopped_writing = memoryview(b""), True
        if piece:
            answer.put(piece)
        if reader.complete:
            self._finish(answer)
        elif reader.problem is not None:
            self._fail(BadAnswer, reader.problem)
        elif answer.buffered_bytes > self._limits.buffer_bytes:
            self._pause_reading()
        elif answer.status:  # until the head is whole, the time for the first byte runs on
            self._deadline.set(self._limits.idle_s)

    def eof_received(self) -> None:
        answer = self._answer
        if answer is not None and self._reader.end_of_input():
            self._finish(answer)
        else:
            self._broken("the provider closed the connection")

    def connection_lost(self, exc: Exception | None) -> None:
        self._broken(f"the connection was lost: {exc}" if exc else "the connection was closed")
        if self._home is not None:
            self._home.lost(self)

    def pause_writing(self) -> None:
        self._writing_paused = True

    def resume_writing(self) -> None:
        self._writing_paused = False
        answer = self._answer
        if answer is not None:
            self._write_on()
            if not answer.status:
                self._deadline.set(self._first_byte_s)
