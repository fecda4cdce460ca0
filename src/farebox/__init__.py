"""Farebox: a self-hosted prepaid gateway and ledger for AI APIs. No money, no call; and every call ends in one charge."""

__version__ = "0.1.0"
