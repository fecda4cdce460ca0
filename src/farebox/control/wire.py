"""How values go over the wire: dollars as decimal strings or exact JSON numbers, times in RFC 3339, pages with opaque cursors, CSV."""

import base64
import binascii
import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from starlette.responses import JSONResponse, Response

from farebox.clock import US_PER_S, to_rfc3339
from farebox.control.problems import Problem
from farebox.money import PICO_PER_USD, format_usd

_LAST_US = 253_402_300_799 * US_PER_S
T = TypeVar("T")
_encode = msgspec.json.Encoder().encode
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


class Json(JSONResponse):
    """A JSON answer, encoded by msgspec: exact numbers stay as they are written."""

    def render(self, content: Any) -> bytes:
        return _encode(content)


def exact(nano: int | None) -> msgspec.Raw | None:
    """Dollars as a JSON number, written from the integer: never through a float."""
    return None if nano is None else msgspec.Raw(format_usd(nano).encode())


def moment(at_us: int | None) -> str | None:
    """A time; what lies beyond the year 9999 is shown as its end."""
    return None if at_us is None else to_rfc3339(min(at_us, _LAST_US))


def from_pico(pico: int) -> str:
    """A decimal string of dollars, exact to the pico-dollar."""
    whole, part = divmod(pico, PICO_PER_USD)
    return f"{whole}.{f'{part:012d}'.rstrip('0').ljust(2, '0')}"


def page(found: Sequence[T], count: int, cursor: Callable[[T], Any], show: Callable[[T], Any]) -> Json:
    """A page of what was found. One more than `count` was asked for: if it is there, there is a next page."""
    shown = found[:count]
    following = to_cursor(cursor(shown[-1])) if len(found) > count else None
    return Json({"data": [show(one) for one in shown], "next_cursor": following})


def to_cursor(place: Any) -> str:
    return base64.urlsafe_b64encode(_encode(place)).decode().rstrip("=")


def from_cursor(text: str | None, kind: type[T]) -> T | None:
    """The place that a cursor stands for. Raises a Problem for what is no cursor of this list."""
    if text is None:
        return None
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=kind)
    except (ValueError, binascii.Error, msgspec.DecodeError):
        raise Problem("invalid_request", "cursor: this is not a next_cursor of this list.") from None


def wants_csv(accept: str | None, chosen: str | None) -> bool:
    """Whether to answer in CSV: `format=csv`, or an `Accept` that names it first."""
    if chosen is not None:
        return chosen == "csv"
    return (accept or "").split(",")[0].split(";")[0].strip().lower() == "text/csv"


def csv_answer(columns: Sequence[str], lines: Iterable[Mapping[str, Any]], next_cursor: str | None = None) -> Response:
    """Rows as CSV. What a caller named is written so that no spreadsheet takes it for a formula."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for line in lines:
        writer.writerow([_cell(line.get(column)) for column in columns])
    return csv_text(out.getvalue(), next_cursor)


def csv_text(text: str, next_cursor: str | None = None) -> Response:
    headers = {} if next_cursor is None else {"x-next-cursor": next_cursor}
    return Response(text, 200, headers, "text/csv")


def _cell(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(_FORMULA_STARTS) and not value[1:2].isdigit():
        return f"'{value}"
    return "" if value is None else value
