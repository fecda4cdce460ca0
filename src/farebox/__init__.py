"""Farebox: a self-hosted prepaid gateway and ledger for AI APIs. No money, no call; and every call ends in one charge.

`farebox.Client` and `farebox.AsyncClient` speak to a gateway. They are loaded when they are asked for: a gateway never is one.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from farebox.client import AsyncClient, Client, Failed, Refused, Unreachable

__version__ = "0.1.0"
__all__ = ["AsyncClient", "Client", "Failed", "Refused", "Unreachable", "__version__"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("farebox.client"), name)
    raise AttributeError(f"module 'farebox' has no attribute {name!r}")
