"""The limits of one client. Owns their names; their values start from `farebox.limits`."""

import msgspec

from farebox import limits


class UpstreamLimits(msgspec.Struct, frozen=True):
    """Seconds, bytes and counts. A connection holds at most about `buffer_bytes` and one read of the socket unread."""

    connect_s: float = limits.connect_s_max
    """Name, TCP, proxy and TLS together."""
    slot_wait_s: float = limits.connect_s_max
    """How long a call waits for a connection when all are in use."""
    first_byte_s: float = limits.first_byte_s_max
    """From the last byte of the request that moved to the whole response head."""
    idle_s: float = limits.stream_idle_s_max
    """Silence between two pieces of a body."""
    pooled_idle_s: float = limits.upstream_idle_s_max
    """How long an unused connection is kept."""
    head_bytes: int = limits.upstream_head_bytes_max
    headers: int = limits.upstream_headers_max
    buffer_bytes: int = limits.upstream_buffer_bytes_max
    connections: int = limits.upstream_connections_max
    connections_per_origin: int = limits.upstream_connections_per_origin_max
