"""Money of accounts: balance, grants, adjustments, moves; every transfer, and refunds of charges."""

from typing import Annotated, Literal

from fastapi import Query
from pydantic import Field

from farebox.control import views
from farebox.control.body import Body
from farebox.control.caller import Admin, AnAdmin, AnAsk, AnOffice
from farebox.control.fields import Id, Moment, Note, SignedUsd, SomeUsd
from farebox.control.office import Office, visible_account
from farebox.control.problems import not_found
from farebox.control.routes.parts import PAGE, AccountFilter, Cursor, Limit, answers, router, told
from farebox.control.shapes import BalanceOut, TransferOut, TransferPage
from farebox.control.wire import Json, from_cursor, page
from farebox.ids import new_id
from farebox.ledger.commands import Adjust, Done, GrantMoney, Move, Refund
from farebox.ledger.model import GrantKind
from farebox.store.reports import ALWAYS, Reports, Wallet

ROUTER = router("money")
TransferKind = Literal["top_up", "grant", "move", "refund", "adjustment", "expiry"]


class GrantIn(Body):
    """Money that comes in: a top-up (`purchase`), or any other block of credit."""

    amount_usd: SomeUsd
    kind: GrantKind = "purchase"
    priority: Annotated[int, Field(ge=-1000, le=1000)] = 0
    effective_at: Moment | None = None
    expires_at: Moment | None = None
    note: Note = ""


class AdjustmentIn(Body):
    """A correction: more, or (negative) less, but never less than is available."""

    amount_usd: SignedUsd
    note: Note = ""


class MoveIn(Body):
    """Available money into another wallet of the same root. It keeps its kind, priority and expiry."""

    to: Id
    amount_usd: SomeUsd
    note: Note = ""


class RefundIn(Body):
    """Without an amount: all that was paid and not given back yet."""

    amount_usd: SomeUsd | None = None
    note: Note = ""


@ROUTER.get("/accounts/{account_id}/balance", responses=answers(BalanceOut))
async def balance(office: AnOffice, caller: AnAdmin, account_id: str) -> Json:
    """The wallet that an account draws on, in the numbers that gate."""

    def find(reports: Reports) -> Wallet:
        found = visible_account(reports, caller.scope, account_id)
        wallet = visible_account(reports, caller.scope, found.wallet)
        return reports.wallet(wallet.id, reports.now())

    return Json(views.balance(await office.read(find)))


@ROUTER.post("/accounts/{account_id}/grants", status_code=201, responses=answers(TransferOut, 201))
async def grant(office: AnOffice, caller: AnAdmin, asked: AnAsk, account_id: str, body: GrantIn) -> Json:
    """Puts money in. Send an Idempotency-Key: a payment that is reported twice is then credited once."""
    account = await office.account(caller.scope, account_id)
    command = GrantMoney(
        asked.id,
        new_id("grt"),
        account.id,
        body.amount_usd,
        body.kind,
        body.priority,
        body.effective_at or 0,
        body.expires_at,
        body.note,
    )
    return await _booked(office, await office.do(command))


@ROUTER.post("/accounts/{account_id}/adjustments", status_code=201, responses=answers(TransferOut, 201))
async def adjust(office: AnOffice, caller: AnAdmin, asked: AnAsk, account_id: str, body: AdjustmentIn) -> Json:
    """Corrects a wallet."""
    account = await office.account(caller.scope, account_id)
    return await _booked(office, await office.do(Adjust(asked.id, account.id, body.amount_usd, body.note)))


@ROUTER.post("/accounts/{account_id}/moves", status_code=201, responses=answers(TransferOut, 201))
async def move(office: AnOffice, caller: AnAdmin, asked: AnAsk, account_id: str, body: MoveIn) -> Json:
    """Moves money to another wallet of the same root."""
    source = await office.account(caller.scope, account_id)
    target = await office.named_account(caller.scope, "to", body.to)
    return await _booked(office, await office.do(Move(asked.id, source.id, target.id, body.amount_usd, body.note)))


@ROUTER.post("/charges/{charge_id}/refunds", status_code=201, responses=answers(TransferOut, 201))
async def refund(office: AnOffice, caller: AnAdmin, asked: AnAsk, charge_id: str, body: RefundIn) -> Json:
    """Gives back what was paid for a charge, whole or in part, as a grant. Neither spent nor caps are lowered."""
    await office.read(lambda reports: _visible_charge(reports, caller, charge_id))
    return await _booked(office, await office.do(Refund(asked.id, charge_id, body.amount_usd, body.note)))


def _visible_charge(reports: Reports, caller: Admin, charge_id: str) -> None:
    hold = reports.hold(charge_id)
    if hold is None or hold.state == "open" or not reports.within(hold.account, caller.scope):
        raise not_found("charge", charge_id)


async def _booked(office: Office, done: Done) -> Json:
    """The transfer that a command booked: the same for ever, and so for every repeat."""
    name = done.ids["transfer"]
    booked = await office.read(lambda reports: reports.transfer(name))
    if booked is None:
        raise not_found("transfer", name)
    extra = {"grant": done.ids["grant"]} if "grant" in done.ids else {}
    return Json({**views.transfer(booked), **extra}, 201, told(done))


@ROUTER.get("/transfers", responses=answers(TransferPage))
async def list_transfers(
    office: AnOffice,
    caller: AnAdmin,
    account: AccountFilter = None,
    kind: Annotated[TransferKind | None, Query(description="Of this kind.")] = None,
    limit: Limit = PAGE,
    cursor: Cursor = None,
) -> Json:
    """Lists every movement of money that is not a charge, newest first. A move is shown on both sides."""
    before = from_cursor(cursor, tuple[int, str]) or (ALWAYS, "")
    found = await office.read(lambda reports: reports.transfers(caller.scope, account, kind, before, limit + 1))
    return page(found, limit, lambda one: (one.at, one.id), views.transfer)
