"""A small client of the control API, synchronous and not: accounts, keys, usage, holds and events. Imports nothing of the gateway."""

from farebox.client.asynchronous import AsyncClient
from farebox.client.errors import Failed, Refused, Unreachable
from farebox.client.synchronous import Client

__all__ = ["AsyncClient", "Client", "Failed", "Refused", "Unreachable"]
