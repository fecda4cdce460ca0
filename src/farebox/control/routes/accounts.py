"""Accounts: nodes of the tree that pay or spend."""

from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import Field

from farebox.control import views
from farebox.control.body import Body
from farebox.control.caller import AnAdmin, AnAsk, AnOffice
from farebox.control.fields import BasisPoints, Id, Metadata, Name, Note, Usd
from farebox.control.keys import below_cost
from farebox.control.office import visible_account
from farebox.control.problems import Problem
from farebox.control.routes.parts import PAGE, Cursor, Limit, answers, router, told
from farebox.control.shapes import AccountOut, AccountPage
from farebox.control.wire import Json, from_cursor, page
from farebox.ids import new_id
from farebox.ledger.commands import EditAccount, OpenAccount
from farebox.ledger.model import Account
from farebox.store.reports import Reports

ROUTER = router("accounts")


class AccountIn(Body):
    """A new account. `wallet`: roots always have their own; others draw on their parent's unless it says `own`."""

    name: Name = ""
    kind: Name = "customer"
    parent: Id | None = None
    wallet: Literal["own", "parent"] | None = None
    external_id: Id | None = None
    metadata: Metadata = Field(default_factory=dict)
    markup_basis_points: BasisPoints | None = None
    markup_fixed_usd: Usd | None = None
    accept_loss: bool = False


class AccountPatch(Body):
    """What of an account is to change; what is not there stays as it is."""

    name: Name = ""
    kind: Name = "customer"
    external_id: Id | None = None
    status: Literal["active", "paused", "closed"] = "active"
    status_why: Note = ""
    metadata: Metadata = Field(default_factory=dict)
    markup_basis_points: BasisPoints | None = None
    markup_fixed_usd: Usd | None = None
    accept_loss: bool = False

    @classmethod
    def unknown(cls, name: str) -> str:
        return "is fixed when an account is made" if name in ("parent", "wallet", "root", "id") else super().unknown(name)


@ROUTER.post("/accounts", status_code=201, responses=answers(AccountOut, 201))
async def open_account(office: AnOffice, caller: AnAdmin, asked: AnAsk, body: AccountIn) -> Json:
    """Opens an account. An admin key of one account opens them below it."""
    if _loses(body):
        raise below_cost()
    parent = body.parent or caller.scope
    if body.parent is not None:
        await office.named_account(caller.scope, "parent", body.parent)
    if parent is None and body.wallet == "parent":
        field = {"field": "wallet", "problem": "an account without a parent has a wallet of its own"}
        raise Problem("invalid_request", "wallet: an account without a parent has a wallet of its own.", errors=[field])
    command = OpenAccount(
        asked.id,
        new_id("acc"),
        own_wallet=parent is None or body.wallet == "own",
        parent=parent,
        name=body.name,
        kind=body.kind,
        external_id=body.external_id,
        markup_basis_points=body.markup_basis_points,
        markup_fixed_nano=body.markup_fixed_usd,
        metadata=body.metadata,
    )
    done = await office.do(command)
    made = await office.account(caller.scope, done.ids["account"])
    return Json(views.account(made), 201, told(done))


@ROUTER.get("/accounts", responses=answers(AccountPage))
async def list_accounts(
    office: AnOffice,
    caller: AnAdmin,
    parent: Annotated[Id | None, Query(description="The accounts right below this one.")] = None,
    external_id: Annotated[Id | None, Query(description="The account with this id of yours.")] = None,
    limit: Limit = PAGE,
    cursor: Cursor = None,
) -> Json:
    """Lists accounts, oldest first."""
    after = from_cursor(cursor, str) or ""

    def find(reports: Reports) -> list[Account]:
        if external_id is None:
            return reports.accounts(caller.scope, parent, after, limit + 1)
        found = reports.account_by_external_id(external_id)
        seen = found is not None and found.id > after and parent in (None, found.parent) and reports.within(found.id, caller.scope)
        return [found] if found is not None and seen else []

    return page(await office.read(find), limit, lambda one: one.id, views.account)


@ROUTER.get("/accounts/{account_id}", responses=answers(AccountOut))
async def show_account(office: AnOffice, caller: AnAdmin, account_id: str) -> Json:
    """Shows one account."""
    return Json(views.account(await office.account(caller.scope, account_id)))


@ROUTER.patch("/accounts/{account_id}", responses=answers(AccountOut))
async def edit_account(office: AnOffice, caller: AnAdmin, asked: AnAsk, account_id: str, body: AccountPatch) -> Json:
    """Changes an account: what it is called, whether it may spend (`status`), its markup. Parent and wallet are fixed."""
    before = await office.account(caller.scope, account_id)
    if _loses(body):
        raise below_cost()
    done = await office.do(EditAccount(asked.id, before.id, _changes(body)))
    after = await office.read(lambda reports: visible_account(reports, caller.scope, before.id))
    return Json(views.account(after), 200, told(done))


def _loses(body: AccountIn | AccountPatch) -> bool:
    return body.markup_basis_points is not None and body.markup_basis_points < 0 and not body.accept_loss


def _changes(body: AccountPatch) -> dict[str, Any]:
    changes: dict[str, Any] = {name: getattr(body, name) for name in body.model_fields_set - {"accept_loss", "markup_fixed_usd"}}
    if "markup_fixed_usd" in body.model_fields_set:
        changes["markup_fixed_nano"] = body.markup_fixed_usd
    return changes
