"""Usage by any mix of dimensions, as JSON or CSV."""

from typing import Annotated, Any, Literal

import msgspec
from fastapi import Header, Query
from starlette.responses import Response

from farebox import limits
from farebox.clock import US_PER_DAY, US_PER_HOUR, to_rfc3339
from farebox.control.caller import AnAdmin, AnOffice
from farebox.control.problems import Problem
from farebox.control.routes.charges import From, To
from farebox.control.routes.parts import PAGE, AccountFilter, Cursor, KeyFilter, Limit, answers, router
from farebox.control.shapes import UsagePage
from farebox.control.wire import Json, csv_answer, from_cursor, to_cursor, wants_csv
from farebox.money import format_usd
from farebox.store.usage_reports import DIMENSIONS, Group, Question, Times, is_dimension, usage
from farebox.usage import INPUT_TOKEN_UNITS, OTHER_UNITS, OUTPUT_TOKEN_UNITS

ROUTER = router("usage")
_MOMENTS = ("hour", "day")
_NUMBERS = (
    "calls",
    "released",
    "price_usd",
    "paid_usd",
    "written_off_usd",
    "provider_cost_usd",
    "list_cost_usd",
    "refunded_usd",
    "tokens",
)
_TIMES = ("first_byte_us_p50", "first_byte_us_p95", "total_us_p50", "total_us_p95")
_UNITS = (*INPUT_TOKEN_UNITS, *OUTPUT_TOKEN_UNITS, *OTHER_UNITS)
By = Annotated[
    str | None, Query(max_length=400, description=f"Comma-separated, up to {limits.usage_groups_max}: {', '.join(DIMENSIONS)}, tag:NAME.")
]
Format = Annotated[Literal["json", "csv"] | None, Query(alias="format", description="`csv`, as `Accept: text/csv` does.")]
Accept = Annotated[str | None, Header(include_in_schema=False)]


@ROUTER.get("/usage", responses=answers(UsagePage, csv=True))
async def show_usage(
    office: AnOffice,
    caller: AnAdmin,
    begins: From = None,
    ends: To = None,
    by: By = None,
    account: AccountFilter = None,
    key: KeyFilter = None,
    written_as: Format = None,
    limit: Limit = PAGE,
    cursor: Cursor = None,
    accept: Accept = None,
) -> Response:
    """Adds up charges by when their money was set aside. Not said when: the last 24 hours, and what is missing of the first of them.
    `account` counts all below it too. Times are told to 5 %. Whole hours (UTC) are answered at once, however many calls there were;
    parts of hours, and `status`, `run` and tags, are counted charge by charge.
    """
    now = office.context.clock()
    last = ends if ends is not None else now + 1
    first = begins if begins is not None else max(_hour(last - US_PER_DAY), 0)
    question = Question(first, last, _dimensions(by), caller.scope, account, key)
    _check(question)
    if ends is None:
        question = msgspec.structs.replace(question, ends=_hour(now) + US_PER_HOUR)  # nothing is there yet of what is left of this hour
    offset = from_cursor(cursor, int) or 0
    if not 0 <= offset <= 10**9:
        raise Problem("invalid_request", "cursor: this is not a next_cursor of this list.")
    found = await office.ask(lambda reports: usage(reports, question, limit + 1, offset))
    following = to_cursor(offset + limit) if len(found) > limit else None
    if wants_csv(accept, written_as):
        columns = [*question.by, *_NUMBERS, *_TIMES, *_UNITS]
        return csv_answer(columns, [_flat(group, question.by) for group in found[:limit]], following)
    data = [_shown(group, question.by) for group in found[:limit]]
    return Json({"data": data, "next_cursor": following, "from": to_rfc3339(first), "to": to_rfc3339(last)})


def _hour(at: int) -> int:
    return at - at % US_PER_HOUR


def _dimensions(by: str | None) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(part.strip() for part in (by or "").split(",") if part.strip()))
    for name in names:
        if not is_dimension(name):
            known = ", ".join([*DIMENSIONS, "tag:NAME"])
            raise Problem("unknown_dimension", f"by: usage cannot be grouped by {name[:64]!r}; there are {known}.")
    if len(names) > limits.usage_groups_max:
        raise Problem("invalid_request", f"by: at most {limits.usage_groups_max} dimensions at once.")
    return names


def _check(question: Question) -> None:
    if question.begins >= question.ends:
        raise Problem("invalid_request", "from is not before to.")
    if question.ends - question.begins > limits.usage_days_max * US_PER_DAY:
        raise Problem("invalid_request", f"from and to are more than {limits.usage_days_max} days apart.")


def _shown(group: Group, by: tuple[str, ...]) -> dict[str, Any]:
    return {
        **_named(group, by),
        **_numbers(group),
        "units": group.units,
        "first_byte_us": _times(group.first_byte),
        "total_us": _times(group.total),
    }


def _named(group: Group, by: tuple[str, ...]) -> dict[str, Any]:
    return {name: to_rfc3339(int(value)) if name in _MOMENTS else value for name, value in zip(by, group.by, strict=True)}


def _numbers(group: Group) -> dict[str, Any]:
    money = (group.price, group.paid, group.written_off, group.cost, group.list_cost, group.refunded)
    return dict(zip(_NUMBERS, (group.calls, group.released, *map(format_usd, money), group.tokens), strict=True))


def _times(times: Times) -> dict[str, int | None]:
    return {"p50": times.p50, "p95": times.p95}


def _flat(group: Group, by: tuple[str, ...]) -> dict[str, Any]:
    times = (group.first_byte.p50, group.first_byte.p95, group.total.p50, group.total.p95)
    return {**_named(group, by), **_numbers(group), **dict(zip(_TIMES, times, strict=True)), **group.units}
