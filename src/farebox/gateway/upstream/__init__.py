"""The HTTP/1.1 client that carries a call to its provider, and can say what no general client says: whether a byte of it left this machine.

Owns sockets, TLS, pools, timeouts and back-pressure. Knows nothing of dialects, keys, money or retries between providers.

`Upstream.send` gives an `Answer` at the response's head; `Answer.read` gives the body piece by piece. All that can go wrong is an
`UpstreamFailed` (see `failures.py`), apart from a request that must not be sent at all, which is a `ValueError` before any I/O.
"""

from farebox.gateway.upstream.answer import Answer
from farebox.gateway.upstream.client import Upstream, UpstreamStats
from farebox.gateway.upstream.failures import (
    BadAnswer,
    ConnectFailed,
    CutShort,
    FirstByteTimeout,
    IdleTimeout,
    NotAnswered,
    PoolExhausted,
    UpstreamFailed,
)
from farebox.gateway.upstream.origin import Origin
from farebox.gateway.upstream.settings import UpstreamLimits

__all__ = [
    "Answer",
    "BadAnswer",
    "ConnectFailed",
    "CutShort",
    "FirstByteTimeout",
    "IdleTimeout",
    "NotAnswered",
    "Origin",
    "PoolExhausted",
    "Upstream",
    "UpstreamFailed",
    "UpstreamLimits",
    "UpstreamStats",
]
