"""How a call to a provider can fail, and what that says about the bill. Owns the exceptions only; who raises them is elsewhere.

UpstreamFailed
├── PoolExhausted      no connection was free in time; nothing was sent
├── ConnectFailed      name, TCP, proxy or TLS; nothing was sent
├── NotAnswered        closed or reset before a whole response head
├── FirstByteTimeout   no response head in time
├── BadAnswer          what came is not a response we can trust
├── IdleTimeout        silence between two pieces of the body
└── CutShort           the body ended before its end
"""

from typing import Literal

Sent = Literal["nothing", "part", "all"]


class UpstreamFailed(Exception):
    """The call did not come to a clean end.

    `sent` says how much of the request was handed to the operating system, `connected` whether a usable connection existed,
    `answered` whether a whole response head was seen. `problem` is for people; it never holds a credential.
    """

    def __init__(self, problem: str, *, sent: Sent = "nothing", connected: bool = False, answered: bool = False) -> None:
        super().__init__(problem)
        self.problem = problem
        self.sent: Sent = sent
        self.connected = connected
        self.answered = answered

    @property
    def may_have_billed(self) -> bool:
        """Whether the provider can have seen anything of the request: then its hold is charged as unknown, not freed."""
        return self.sent != "nothing"


class PoolExhausted(UpstreamFailed):
    """Every connection allowed was in use, and none came free in time."""


class ConnectFailed(UpstreamFailed):
    """No connection: name not found, refused, unreachable, proxy or TLS refused, or too slow."""


class NotAnswered(UpstreamFailed):
    """The connection ended before a whole response head."""


class FirstByteTimeout(UpstreamFailed):
    """The response head did not come in time."""


class BadAnswer(UpstreamFailed):
    """What came is not a response that can be trusted: unreadable, contradictory, or beyond a limit."""


class IdleTimeout(UpstreamFailed):
    """The provider fell silent in the middle of a body."""


class CutShort(UpstreamFailed):
    """The body ended before its end: closed or reset by the other side, or aborted by the caller."""
