"""What may be asked about work that is not proxied: the bodies of holds and events, checked field by field."""

from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from farebox import limits
from farebox.control.body import Body
from farebox.control.fields import DIGITS_MAX, Id, Moment, SomeUsd, Tags, Usd
from farebox.money import NANO_PER_USD, format_usd

T = TypeVar("T", "HoldIn", "EventData")
MICRO = 1_000_000
_QUANTITY_MAX = 10**12 * MICRO
USD_MAX = limits.unproxied_usd_max * NANO_PER_USD


def millionths(value: object) -> int:
    """Millionths of a unit, of a decimal string or of a number's literal. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal) or len(str(value)) > DIGITS_MAX:
        raise ValueError('a quantity is a string such as "2.5", or a number')
    try:
        exact = Decimal(value)
    except InvalidOperation:
        raise ValueError('a quantity is a string such as "2.5", or a number') from None
    if not exact.is_finite() or exact.is_signed() or exact.adjusted() > len(str(_QUANTITY_MAX)) or exact * MICRO > _QUANTITY_MAX:
        raise ValueError("a quantity is from 0 to a million million")
    if exact * MICRO % 1:
        raise ValueError("a quantity has at most six decimal places")
    return int(exact * MICRO)


def quantity_of(count: int) -> str:
    """A quantity as it is shown: `2.5`."""
    whole, part = divmod(count, MICRO)
    return f"{whole}.{part:06d}".rstrip("0").rstrip(".")


def _some(value: int) -> int:
    if value == 0:
        raise ValueError("nothing is not held")
    return value


def _payable(value: int) -> int:
    if value > USD_MAX:
        raise ValueError(f"one piece of work costs at most ${format_usd(USD_MAX)}")
    return value


_SCHEMA = WithJsonSchema(
    {
        "anyOf": [{"type": "string", "pattern": r"^[0-9]{1,9}(\.[0-9]{1,6})?$"}, {"type": "number"}],
        "description": "How much of the meter's unit, as a decimal string (or a number, read from its literal). At most six decimal places.",
        "examples": ["2.5"],
    }
)
Quantity = Annotated[int, BeforeValidator(millionths), _SCHEMA]
SomeQuantity = Annotated[int, BeforeValidator(millionths), AfterValidator(_some), _SCHEMA]
Amount = Annotated[Usd, AfterValidator(_payable)]
SomeAmount = Annotated[SomeUsd, AfterValidator(_payable)]
Meter = Annotated[Id, Field(max_length=limits.meter_name_chars_max)]
Lifetime = Annotated[int, Field(ge=limits.hold_lifetime_s_min, le=limits.hold_lifetime_s_max)]
User = Annotated[Id, Field(max_length=limits.user_bytes_max)]
Run = Annotated[Id, Field(max_length=limits.run_id_bytes_max)]


class ToHold(msgspec.Struct, frozen=True):
    """What is to be set aside: dollars in nano-dollars, quantities in millionths. Fields and their order as bodies have them."""

    key: str | None = None
    account: str | None = None
    amount_usd: int | None = None
    meter: str | None = None
    quantity: int | None = None
    lifetime_s: int = limits.hold_lifetime_s_default
    user: str | None = None
    run: str | None = None
    tags: dict[str, str] = {}


class ToCapture(msgspec.Struct, frozen=True, gc=False):
    """What the work came to: one of both."""

    amount_usd: int | None = None
    quantity: int | None = None


class HoldIn(Body):
    """Money to set aside: on a key, or on an account; an amount, or so much of a meter."""

    key: Id | None = None
    account: Id | None = None
    amount_usd: SomeAmount | None = None
    meter: Meter | None = None
    quantity: SomeQuantity | None = None
    lifetime_s: Lifetime = limits.hold_lifetime_s_default
    user: User | None = None
    run: Run | None = None
    tags: Tags = Field(default_factory=dict)

    @model_validator(mode="after")
    def _whole(self) -> "HoldIn":
        if self.key is not None and self.account is not None:
            raise ValueError("name a key or an account, not both")
        return _one_worth(self)

    @classmethod
    def read(cls, body: Any) -> ToHold:
        """What a body says. Raises ValidationError."""
        return ToHold(**cls.model_validate(body).__dict__)


class ExtendIn(Body):
    """More money, more time, or both."""

    amount_usd: SomeAmount | None = None
    quantity: SomeQuantity | None = None
    lifetime_s: Lifetime | None = None

    @model_validator(mode="after")
    def _something(self) -> "ExtendIn":
        if self.amount_usd is not None and self.quantity is not None:
            raise ValueError("give an amount_usd or a quantity, not both")
        if self.amount_usd is None and self.quantity is None and self.lifetime_s is None:
            raise ValueError("give an amount_usd or a quantity, a lifetime_s, or both")
        return self


class CaptureIn(Body):
    """What the work came to."""

    amount_usd: Amount | None = None
    quantity: Quantity | None = None

    @model_validator(mode="after")
    def _one(self) -> "CaptureIn":
        if (self.amount_usd is None) == (self.quantity is None):
            raise ValueError("give an amount_usd or a quantity")
        return self

    @classmethod
    def read(cls, body: Any) -> ToCapture:
        """What a body says. Raises ValidationError."""
        return ToCapture(**cls.model_validate(body).__dict__)


class ReleaseIn(Body):
    """Nothing is to be said of a hold that is given back."""


class EventData(Body):
    """What was done: so much of a meter, or an amount."""

    meter: Meter | None = None
    quantity: Quantity | None = None
    amount_usd: Amount | None = None
    user: User | None = None
    run: Run | None = None
    tags: Tags = Field(default_factory=dict)

    @model_validator(mode="after")
    def _whole(self) -> "EventData":
        return _one_worth(self)


class Event(BaseModel):
    """A CloudEvent 1.0. `subject` names who pays: a key, an account, or an account by its external id. Extensions are not looked at."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)
    specversion: Literal["1.0"]
    id: Id
    source: Annotated[Id, Field(max_length=limits.event_source_bytes_max)]
    type: Id
    subject: Id
    time: Moment | None = None
    datacontenttype: Literal["application/json"] = "application/json"
    data: EventData


def _one_worth(body: T) -> T:
    if (body.amount_usd is None) == (body.meter is None):
        raise ValueError("give an amount_usd, or a meter and a quantity")
    if (body.meter is None) != (body.quantity is None):
        raise ValueError("a meter needs a quantity, and a quantity a meter")
    return body
