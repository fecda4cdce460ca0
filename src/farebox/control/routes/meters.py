"""Own meters: what a unit of work that is not proxied costs. A price in the book like any other, set in one line."""

from typing import Annotated

from fastapi import Path
from pydantic import AfterValidator

from farebox.control import imports
from farebox.control.body import Body
from farebox.control.caller import AnAdmin, AnAsk, AnOffice
from farebox.control.fields import Id, Moment, Note, Usd
from farebox.control.problems import Problem
from farebox.control.routes.parts import answers, router
from farebox.control.routes.prices import whose
from farebox.control.shapes import ImportOut
from farebox.control.unproxied.asked import Meter
from farebox.control.unproxied.worth import PROVIDER
from farebox.control.wire import Json, moment
from farebox.money import format_usd
from farebox.usage import MILLIONTHS

ROUTER = router("prices")
_MILLION = 1_000_000
_NANO_PER_MICRO = 1_000


def _exact(nano: int) -> int:
    if nano % _NANO_PER_MICRO:
        raise ValueError("a unit's price is exact to a millionth of a dollar: make the unit larger")
    return nano


class MeterIn(Body):
    """The price of one unit, from `valid_from` on: without it from now on, or (the first price) always."""

    price_usd: Annotated[Usd, AfterValidator(_exact)]
    valid_from: Moment | None = None
    scope: Id | None = None
    accept: bool = False
    accept_loss: bool = False
    note: Note = ""


@ROUTER.put("/prices/meters/{meter}", status_code=201, responses=answers(ImportOut, 201))
async def set_meter(office: AnOffice, caller: AnAdmin, asked: AnAsk, meter: Annotated[Meter, Path()], body: MeterIn) -> Json:
    """Sets what a unit of an own meter costs, in a new version of the book. Earlier prices stay, for events of their time. A jump needs
    `accept`. With `scope`: an account's or a key's own price.
    """
    if meter != meter.strip():
        raise Problem("invalid_request", "meter: a name neither begins nor ends with a space.")
    scope = await whose(office, caller, body.scope)
    quoted = meter.replace('"', '""')
    cells = [PROVIDER, f'"{quoted}"', MILLIONTHS, format_usd(body.price_usd), str(_MILLION), moment(body.valid_from) or "", "own meter"]
    csv = f"provider,model,unit,usd,per,valid_from,source\n{','.join(cells)}\n"
    wanted = imports.Import(csv, scope, body.accept, body.accept_loss, note=body.note, follows=True)
    done, repeated = await imports.take_in(office, asked.id, wanted)
    return Json(done, 201, {"x-farebox-replayed": "1"} if repeated else {})
