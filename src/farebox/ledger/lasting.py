"""What outlives a call: the objects that its provider keeps, and a hold whose provider answers later. Values only."""

import msgspec


class StoredObject(msgspec.Struct, frozen=True):
    """Something that a provider keeps, and that belongs to the account whose call made it: a response, a conversation, a file."""

    kind: str
    id: str
    lasts: int
    """How long it is remembered whose it is, from the moment that is written."""
    facts: str = "{}"
    """JSON: what is known of it. Nothing in the ledger looks at it."""


class HandOver(msgspec.Struct, frozen=True):
    """Leave an open hold to the background: its provider answers later, and whichever process then asks it settles the hold."""

    hold_id: str
    response_id: str
    """By which the provider is asked."""
    facts: str
    """JSON: what any process needs to work out what the answer comes to. Nothing in the ledger looks at it."""
    lasts: int
    """How long, from the moment it is decided, until whoever sweeps ends the hold after all."""
    first_poll: int
    """How long until the provider is asked for the first time."""
    objects: tuple[StoredObject, ...] = ()
    answer: bytes | None = None
    """What the caller's request is answered with for now, encrypted, for a repeat with the same Idempotency-Key. None: it is answered once the hold
    has ended.
    """
