"""Charges and holds: what calls came to, and what is set aside for those on their way."""

from typing import Annotated, Literal

from fastapi import Query

from farebox.control import views
from farebox.control.caller import AnAdmin, AnOffice
from farebox.control.fields import Id, Moment
from farebox.control.problems import not_found
from farebox.control.routes.parts import PAGE, AccountFilter, Cursor, KeyFilter, Limit, answers, router
from farebox.control.shapes import ChargeOut, ChargePage, HoldPage
from farebox.control.wire import Json, from_cursor, page
from farebox.store.reports import ALWAYS, Entry, Reports, Selection

ROUTER = router("charges")
From = Annotated[Moment | None, Query(alias="from", description="Held at this time or after.")]
To = Annotated[Moment | None, Query(alias="to", description="Held before this time.")]
RequestFilter = Annotated[Id | None, Query(description="Of this request: all its attempts.")]
State = Literal["open", "captured", "released", "expired"]


@ROUTER.get("/charges", responses=answers(ChargePage))
async def list_charges(
    office: AnOffice,
    caller: AnAdmin,
    begins: From = None,
    ends: To = None,
    account: AccountFilter = None,
    key: KeyFilter = None,
    request_id: RequestFilter = None,
    outcome: Annotated[Id | None, Query(description="With this outcome.")] = None,
    limit: Limit = PAGE,
    cursor: Cursor = None,
) -> Json:
    """Lists charges, newest first."""
    last = ends if ends is not None else ALWAYS
    chosen = Selection(caller.scope, begins or 0, last, key, account, outcome, request_id, from_cursor(cursor, str))
    found = await office.read(lambda reports: reports.charges(chosen, limit + 1))
    return page(found, limit, lambda one: one.charge.hold_id, views.charge)


@ROUTER.get("/charges/{charge_id}", responses=answers(ChargeOut))
async def show_charge(office: AnOffice, caller: AnAdmin, charge_id: str) -> Json:
    """Shows a charge."""

    def find(reports: Reports) -> Entry:
        found = reports.charge(charge_id)
        if found is None or not reports.within(found.charge.account, caller.scope):
            raise not_found("charge", charge_id)
        return found

    return Json(views.charge(await office.read(find)))


@ROUTER.get("/holds", responses=answers(HoldPage))
async def list_holds(
    office: AnOffice,
    caller: AnAdmin,
    state: Annotated[State | None, Query(description="In this state; `open` is what is set aside now.")] = None,
    account: AccountFilter = None,
    key: KeyFilter = None,
    request_id: RequestFilter = None,
    limit: Limit = PAGE,
    cursor: Cursor = None,
) -> Json:
    """Lists holds, newest first."""
    chosen = Selection(caller.scope, 0, ALWAYS, key, account, None, request_id, from_cursor(cursor, str))
    found = await office.read(lambda reports: reports.holds(chosen, state, limit + 1))
    return page(found, limit, lambda one: one.id, views.hold)
