"""Quotes: the most that a request would cost, without holding anything."""

from typing import Annotated, Any

import msgspec
from pydantic import Field

from farebox.control import quotes
from farebox.control.body import Body
from farebox.control.caller import Admin, AnAdmin, AnAsk, AnOffice
from farebox.control.fields import Id
from farebox.control.office import visible_account, visible_key
from farebox.control.problems import Problem
from farebox.control.routes.parts import answers, router
from farebox.control.shapes import QuoteOut
from farebox.control.wire import Json
from farebox.dialects.routes import METERED
from farebox.gateway.attempt import Caller
from farebox.ledger.plan import Policy
from farebox.store.reports import Reports

ROUTER = router("quotes")
_encode = msgspec.json.Encoder(decimal_format="number").encode


class QuoteIn(Body):
    """A request as a caller would send it, and who would. `body`: the JSON itself, or its text where every byte counts."""

    key: Id | None = None
    account: Id | None = None
    route: Annotated[str, Field(max_length=64)] | None = None
    dialect: Annotated[str, Field(max_length=64)] | None = None
    body: dict[str, Any] | Annotated[str, Field(max_length=4_000_000)]
    headers: Annotated[dict[str, Annotated[str, Field(max_length=1000)]], Field(max_length=50)] = Field(default_factory=dict)


@ROUTER.post("/quotes", responses=answers(QuoteOut))
async def quote(office: AnOffice, caller: AnAdmin, _asked: AnAsk, body: QuoteIn) -> Json:
    """Works out the worst case of a request, part by part, and whether the money for it is there now."""
    if (body.key is None) == (body.account is None):
        raise Problem("invalid_request", "Name the key or the account that would pay.")
    route = quotes.route_of(body.dialect, body.route)
    if route is None:
        known = ", ".join(sorted(f"{dialect} {name}" for dialect, name in METERED))
        raise Problem("invalid_request", f"Name the dialect, the route, or both, as one of: {known}.")
    ask = quotes.ask_of(office.context.quoter, route, _bytes(body.body), body.headers)
    books = await office.books()

    def find(reports: Reports) -> dict[str, Any]:
        now = reports.now()
        policy = _policy(reports, caller, body)
        plan = office.context.quoter.plan(policy, ask, Caller(), books, now)
        return quotes.quote(reports, plan, now)

    return Json(await office.read(find))


def _policy(reports: Reports, caller: Admin, body: QuoteIn) -> Policy:
    if body.key is not None:
        return reports.policy(visible_key(reports, caller.scope, body.key))
    return quotes.policy_of_account(reports, visible_account(reports, caller.scope, body.account or ""))


def _bytes(body: dict[str, Any] | str) -> bytes:
    try:
        return body.encode() if isinstance(body, str) else _encode(body)
    except OverflowError:
        raise Problem("invalid_request", "body: it holds a number larger than any of this API.") from None
