"""What is known of one call while it is on its way: its plan, and each attempt with the state that the one exit (`settle`) needs."""

from typing import Literal

import msgspec

from farebox.dialects.base import Ask, Dialect, Report
from farebox.ids import new_id
from farebox.ledger.bounds import Bound
from farebox.ledger.commands import Authorize, Gate
from farebox.ledger.model import Hold
from farebox.ledger.plan import Policy
from farebox.pricing.book import PriceBook
from farebox.pricing.cards import ModelPrice
from farebox.pricing.markup import AT_COST, Markup
from farebox.providers.catalogue import Provider
from farebox.providers.health import Turn

Stage = Literal["planned", "queued", "held", "forwarded", "done"]
"""queued: the ledger was asked and has not answered; forwarded: a byte may have left; done: settled, or never held."""
COUNTED = "input_counted"
"""The flag of a call that was admitted by a count of its input."""


class Caller(msgspec.Struct, frozen=True):
    """What the caller said about the call beside its body, read and checked."""

    tags: str = ""
    user: str = ""
    run: str = ""
    run_limit: int | None = None
    ceiling: int | None = None
    clamp: bool = False
    dry_run: bool = False
    idempotency: str = ""


class Beside(msgspec.Struct, frozen=True):
    """The prices of another model that the same call may use."""

    listed: ModelPrice
    own: ModelPrice | None


class Plan(msgspec.Struct, frozen=True):
    """How a call would be made and what it may cost: the quote, with the prices it was computed from."""

    policy: Policy
    gate: Gate
    ask: Ask
    dialect: Dialect
    provider: Provider
    model: str
    """The model's name at the provider."""
    bound: Bound
    listed: ModelPrice
    own: ModelPrice | None
    """The customer's own price, where there is one: then no markup applies."""
    markup: Markup
    input_tokens: int
    """The input tokens that are held for."""
    book: PriceBook
    quoted_at: int
    beside: tuple[Beside, ...] = ()
    """Of the demand's other models, in their order."""
    markup_beside: Markup = AT_COST
    """On those of them that have no price of the customer's own."""


class Timings(msgspec.Struct, omit_defaults=True):
    """Moments of a call in microseconds since it was received."""

    received_at: int = 0
    """Microseconds since 1970 UTC."""
    held_us: int = 0
    sent_us: int = 0
    first_byte_us: int = 0
    last_byte_us: int = 0


class Attempt(msgspec.Struct, eq=False):
    """One try at a provider. Exists before anything can go wrong with it."""

    hold_id: str
    number: int
    plan: Plan
    timings: Timings
    stage: Stage = "planned"
    hold: Hold | None = None
    available: int = 0
    asked: Authorize | None = None
    """What the ledger was asked last."""
    pending: object = None
    """The ledger's answer that is still to come, while `queued`."""
    report: Report | None = None
    failure: str = ""
    outcome: Literal["answered", "not_billed"] = "answered"
    lost: bool = False
    """Reading ended before the provider did, or what it said cannot be read: what was delivered does not bound what was generated."""
    status: int = 0
    upstream_request_id: str = ""
    flags: list[str] = []
    handed: bool = False
    """The background has its hold: whoever learns first what it came to settles it."""
    generated: bool = True
    """False: it is known that the provider generated nothing, and billed what it read."""
    recorded: bytes | None = None
    """The answer as it is kept for a repeat, encrypted."""
    body: bytes = b""
    turn: Turn | None = None
    """What it is made with."""


def hold_id(request_id: str, number: int) -> str:
    """The id of the hold for one attempt at a request."""
    return f"hold_{request_id.removeprefix('req_')}{number}"


class Call:
    """What the caller asked for: one request, which may take more than one attempt."""

    __slots__ = ("attempts", "caller", "request_id", "secret", "timings")

    def __init__(self, secret: str, caller: Caller, received_at: int) -> None:
        self.request_id = new_id("req")
        self.secret = secret
        self.caller = caller
        self.timings = Timings(received_at)
        self.attempts: list[Attempt] = []
