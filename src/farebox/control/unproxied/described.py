"""These routes in the API's OpenAPI document. The bodies are those that requests are checked against; tests compare the answers."""

from typing import Any, Literal

from pydantic import BaseModel

from farebox import limits
from farebox.control.shapes import HoldOut, Shape, Text, Time
from farebox.control.unproxied import events, holds
from farebox.control.unproxied.asked import CaptureIn, Event, ExtendIn, HoldIn, ReleaseIn

_REF = "#/components/schemas/{model}"
_ONE = f"{holds.ROUTE}/{{hold_id}}"


class SettledOut(Shape):
    id: str
    request_id: str
    key: str
    account: str
    provider: str
    model: str
    outcome: str
    price_usd: Text
    paid_usd: Text
    written_off_usd: Text
    refunded_usd: Text
    provider_cost_usd: Text
    flags: list[str]
    revised: bool
    at: Time


class EventCharge(Shape):
    id: str
    price_usd: Text
    paid_usd: Text
    written_off_usd: Text
    late: bool


class EventReason(Shape):
    code: str
    detail: str


class EventOut(Shape):
    source: str | None
    id: str | None
    status: Literal["charged", "repeated", "refused", "conflict", "invalid"]
    charge: EventCharge | None
    reason: EventReason | None


class EventsOut(Shape):
    data: list[EventOut]


_ROUTES: tuple[tuple[str, str, str, type[BaseModel], type[Shape], int], ...] = (
    (
        holds.ROUTE,
        "holds",
        "Sets money aside for work that is not proxied: an amount, or so much of an own meter. Gateway keys may do so for themselves.",
        HoldIn,
        HoldOut,
        201,
    ),
    (f"{_ONE}/extend", "holds", "Grows an open hold, under the limits of now; or lets it last longer.", ExtendIn, HoldOut, 200),
    (
        f"{_ONE}/capture",
        "holds",
        "Charges a hold what the work came to, and gives the rest back. After its deadline: corrects its charge, once.",
        CaptureIn,
        SettledOut,
        200,
    ),
    (f"{_ONE}/release", "holds", "Gives a hold back whole.", ReleaseIn, SettledOut, 200),
    (
        events.ROUTE,
        "events",
        f"Charges work that is done, told of as CloudEvents 1.0: one, or up to {limits.events_per_request_max} in an array, each once.",
        Event,
        EventsOut,
        200,
    ),
)


def describe(made: dict[str, Any]) -> None:
    """Adds the routes and their models to an OpenAPI document."""
    schemas = made["components"]["schemas"]
    for path, tag, words, body, answer, status in _ROUTES:
        for model in (body, answer):
            schema = model.model_json_schema(ref_template=_REF, mode="validation")
            for name, inner in schema.pop("$defs", {}).items():
                schemas.setdefault(name, inner)
            schemas[model.__name__] = schema
        name = path.removeprefix("/api/v1/").replace("/{hold_id}", "").replace("/", "_")
        parameters = [_IDEMPOTENCY, *([_HOLD_ID] if "{hold_id}" in path else [])]
        made["paths"].setdefault(path, {})["post"] = {
            "tags": [tag],
            "summary": words.partition(".")[0].partition(":")[0],
            "description": words,
            "operationId": f"{name}_post",
            "parameters": parameters,
            "requestBody": _body(body),
            "responses": {str(status): _content("Done.", {"application/json": _ref(answer)})},
            "security": [{"key": []}],
        }


def _body(model: type[BaseModel]) -> dict[str, Any]:
    if model is not Event:
        return {"required": model is not ReleaseIn, "content": {"application/json": {"schema": _ref(model)}}}
    many = {"type": "array", "items": _ref(model), "minItems": 1, "maxItems": limits.events_per_request_max}
    either = {"anyOf": [_ref(model), many]}
    kinds = {"application/json": either, "application/cloudevents+json": _ref(model), "application/cloudevents-batch+json": many}
    return {"required": True, "content": {kind: {"schema": schema} for kind, schema in kinds.items()}}


def _content(words: str, kinds: dict[str, Any]) -> dict[str, Any]:
    return {"description": words, "content": {kind: {"schema": schema} for kind, schema in kinds.items()}}


def _ref(model: type[BaseModel]) -> dict[str, Any]:
    return {"$ref": _REF.format(model=model.__name__)}


_HOLD_ID = {"name": "hold_id", "in": "path", "required": True, "schema": {"type": "string"}}
_IDEMPOTENCY = {
    "name": "idempotency-key",
    "in": "header",
    "required": False,
    "description": "Makes the request safe to repeat: it is carried out once, and a repeat is answered as the first was.",
    "schema": {
        "type": "string",
        "minLength": 1,
        "maxLength": limits.idempotency_key_bytes_max,
        "pattern": r"^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$",
    },
}
