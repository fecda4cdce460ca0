"""The answers of the API as its OpenAPI document describes them. Documentation only: the views write the answers, and tests compare.

Owns descriptions. Does not own values.
"""

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

Text = Annotated[str, Field(description="Dollars, as a decimal string.", examples=["12.50"])]
Exact = Annotated[Decimal, WithJsonSchema({"type": "number", "description": "Dollars, as an exact number."})]
Time = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
Cursor = Annotated[str | None, Field(description="For the next page: send it as `cursor`. Null on the last.")]


class Shape(BaseModel):
    """What an answer has. Later versions may add to it."""

    model_config = ConfigDict(extra="allow")


class Fault(Shape):
    field: str
    problem: str


class ProblemOut(Shape):
    """RFC 9457. `code` is stable; `errors` names fields."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[Fault] = Field(default_factory=list)


class AccountOut(Shape):
    id: str
    name: str
    kind: str
    parent: str | None
    root: str
    wallet: Literal["own", "parent"]
    wallet_id: str
    external_id: str | None
    status: Literal["active", "paused", "closed"]
    status_why: str
    status_since: Time
    markup_basis_points: int | None
    markup_fixed_usd: Text | None
    metadata: dict[str, str]
    created_at: Time


class GrantOut(Shape):
    id: str
    kind: Literal["purchase", "promotion", "refund", "adjustment"]
    amount: Text
    spent: Text
    held: Text
    expired: Text
    pending: Text
    available: Text
    priority: int
    effective_at: Time | None
    expires_at: Time | None
    created_at: Time


class BalanceOut(Shape):
    """`granted = spent + held + expired + pending + available`, at one moment, in the numbers that gate."""

    currency: Literal["USD"]
    wallet_id: str
    granted: Text
    spent: Text
    held: Text
    expired: Text
    pending: Text
    available: Text
    written_off: Text
    at: Time
    grants: list[GrantOut]


class LegOut(Shape):
    grant: str
    amount_usd: Text


class TransferOut(Shape):
    id: str
    kind: Literal["top_up", "grant", "move", "refund", "adjustment", "expiry"]
    account: str
    to: str | None
    amount_usd: Text
    charge: str | None
    note: str
    legs: list[LegOut]
    at: Time


class BudgetOut(Shape):
    """A budget and its current window. Amounts are dollars, or whole numbers for tokens and requests."""

    limit_usd: Text | None
    limit: int | None
    window: str
    timezone: str
    models: list[str]
    tags: dict[str, str]
    measure: Literal["price", "provider_cost", "tokens", "requests"]
    hard: bool
    thresholds: list[int]
    spent: str
    held: str
    available: str
    began_at: Time | None
    renews_at: Time | None


class RatesOut(Shape):
    requests_per_minute: int | None
    tokens_per_minute: int | None
    concurrent: int | None


class KeyMoney(Shape):
    """Usage is what was charged in the window that runs; `limit_remaining` is the limit less what is spent and held."""

    limit: Exact | None
    limit_remaining: Exact | None
    limit_reset: Literal["daily", "weekly", "monthly"] | None
    usage: Exact
    usage_daily: Exact
    usage_weekly: Exact
    usage_monthly: Exact
    held: Exact


class KeyOut(KeyMoney):
    id: str
    hash: str
    name: str
    label: str
    account: str
    external_user: str | None
    status: Literal["active", "paused", "revoked"]
    disabled: bool
    exposure_usd: Annotated[
        Exact,
        Field(
            description="The most that can still be spent with this key before a window renews or money comes in: all unspent money of its "
            "wallet, held or not, under every hard cap in dollars that counts all its calls. Of a key that may not spend: what it holds."
        ),
    ]
    models: list[str]
    clamp: Literal["never", "unnamed", "always"]
    default_max_output_tokens: int | None
    unknown_fields: Literal["pass", "refuse"]
    rate_limits: RatesOut
    tags: dict[str, str]
    metadata: dict[str, str]
    created_at: Time
    expires_at: Time | None
    last_used_at: Time | None


class KeyAnswer(Shape):
    data: KeyOut


class NewKeyAnswer(Shape):
    """`key` is the secret: shown here, and to a repeat with the same Idempotency-Key, and never again."""

    data: KeyOut
    key: str


class Deleted(Shape):
    deleted: Literal[True]


class OwnKeyAnswer(Shape):
    data: dict[str, Any]


class Credits(Shape):
    total_credits: Exact
    total_usage: Exact


class CreditsAnswer(Shape):
    data: Credits


class Generation(Shape):
    id: str
    upstream_id: str | None
    total_cost: Exact
    usage: Exact
    model: str
    provider_name: str
    created_at: Time
    cancelled: bool
    latency: int | None
    generation_time: int | None
    tokens_prompt: int
    tokens_completion: int
    attempts: list[dict[str, Any]]


class GenerationAnswer(Shape):
    data: Generation


class Percentiles(Shape):
    p50: int | None
    p95: int | None


class UsageOut(Shape):
    """One group. Its dimensions are members beside these, by their names."""

    calls: int
    released: int
    price_usd: Text
    paid_usd: Text
    written_off_usd: Text
    provider_cost_usd: Text
    list_cost_usd: Text
    refunded_usd: Text
    tokens: int
    units: dict[str, int]
    first_byte_us: Percentiles
    total_us: Percentiles


class HoldOut(Shape):
    id: str
    request_id: str
    attempt: int
    state: Literal["open", "captured", "released", "expired"]
    key: str
    account: str
    wallet_id: str
    provider: str
    model: str
    route: str
    amount_usd: Text
    cost_bound_usd: Text
    tokens_bound: int
    max_output_tokens: int
    created_at: Time
    deadline: Time
    closed_at: Time | None


class LineOut(Shape):
    unit: str
    quantity: int
    usd_each: Text
    usd: Text


class ChargeOut(Shape):
    id: str
    request_id: str
    attempt: int
    key: str
    account: str
    provider: str
    model: str
    model_served: str
    status: int
    outcome: str
    completeness: Literal["exact", "estimated", "unknown"]
    held_usd: Text
    price_usd: Text
    paid_usd: Text
    written_off_usd: Text
    refunded_usd: Text
    provider_cost_usd: Text
    tokens: int
    usage: dict[str, Any]
    lines: list[LineOut]
    timings: dict[str, int]
    flags: list[str]
    tags: dict[str, str]
    at: Time


class PriceOut(Shape):
    scope: str
    provider: str
    model: str
    kind: str
    route: str | None
    unit: str
    usd: Text
    per: int
    tier_above: int
    conditions: dict[str, Any]
    source: str
    valid_from: Time | None
    valid_to: Time | None
    checked_at: Time | None


class ImportOut(Shape):
    version: int | None
    published_at: Time | None
    scope: str
    models: int
    prices: int
    rejected: int
    added: int
    changed: int
    removed: int
    needs_acceptance: int
    changes: list[dict[str, Any]]


class ItemOut(Shape):
    item: str
    quantity: int
    usd: Text


class QuoteOut(Shape):
    """The most that a call may cost, and what of it each part is."""

    model: str
    worst_case_usd: Text
    worst_case_cost_usd: Text
    least_usd: Text
    input_tokens_max: int
    max_output_tokens: int
    min_output_tokens: int
    book_version: int
    items: list[ItemOut]
    fits: bool
    available_usd: Text
    affordable_max_output_tokens: int


class VerdictOut(Shape):
    ok: bool
    invariants: list[dict[str, Any]]
    counts: dict[str, int]
    sums_usd: dict[str, Text]


class Alive(Shape):
    status: str
    version: str


def paged(shape: type[Shape]) -> type[Shape]:
    """`{data, next_cursor}` of a shape."""
    name = f"{shape.__name__.removesuffix('Out')}Page"
    return type(name, (Shape,), {"__annotations__": {"data": list[shape], "next_cursor": Cursor}, "__module__": __name__})  # type: ignore[valid-type]


AccountPage, TransferPage, BudgetPage, KeyPage = paged(AccountOut), paged(TransferOut), paged(BudgetOut), paged(KeyOut)
UsagePage, HoldPage, ChargePage, PricePage = paged(UsageOut), paged(HoldOut), paged(ChargeOut), paged(PriceOut)
