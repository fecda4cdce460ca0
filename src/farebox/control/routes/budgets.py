"""Budgets of accounts and keys: caps over windows, with what is spent and held in each now."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from farebox import limits
from farebox.control import views
from farebox.control.body import Body
from farebox.control.caller import AnAdmin, AnAsk, AnOffice
from farebox.control.fields import Models, Tags, Usd
from farebox.control.office import Office
from farebox.control.problems import Problem
from farebox.control.routes.parts import answers, router, told
from farebox.control.shapes import BudgetPage
from farebox.control.wire import Json
from farebox.ledger import windows
from farebox.ledger.commands import Done, SetBudgets
from farebox.ledger.model import Budget, Counter, Filter, Measure
from farebox.store.reports import Reports

ROUTER = router("budgets")
_DOLLARS = ("price", "provider_cost")


class BudgetIn(Body):
    """A cap. In dollars (`limit_usd`), or for the measures tokens and requests a whole number (`limit`)."""

    limit_usd: Usd | None = None
    limit: Annotated[int, Field(ge=0, le=10**15)] | None = None
    window: Annotated[str, Field(max_length=32, examples=["month", "rolling:24h"])] = windows.LIFETIME
    timezone: Annotated[str, Field(max_length=64)] = "UTC"
    models: Models = Field(default_factory=list)
    tags: Tags = Field(default_factory=dict)
    measure: Literal["price", "provider_cost", "tokens", "requests"] = "price"
    hard: bool = True
    thresholds: Annotated[list[Annotated[int, Field(ge=1, le=1000)]], Field(max_length=10)] = Field(default_factory=list)

    @model_validator(mode="after")
    def _consistent(self) -> "BudgetIn":
        if (self.limit_usd is None) == (self.limit is None) or (self.limit_usd is not None) != (self.measure in _DOLLARS):
            raise ValueError("give limit_usd for price and provider_cost, limit for tokens and requests")
        try:
            windows.check(self.window, self.timezone)
        except windows.UnknownWindowError as problem:
            raise ValueError(str(problem)) from None
        return self

    def budget(self, scope: str) -> Budget:
        chosen = Filter(tuple(sorted(set(self.models))), tuple(sorted(self.tags.items())))
        limit = self.limit if self.limit_usd is None else self.limit_usd
        measure: Measure = self.measure
        return Budget(
            Counter(scope, self.window, self.timezone, chosen), limit or 0, measure, self.hard, tuple(sorted(set(self.thresholds)))
        )


Budgets = Annotated[list[BudgetIn], Field(max_length=limits.budgets_per_scope_max)]


@ROUTER.put("/accounts/{account_id}/budgets", responses=answers(BudgetPage))
async def set_account_budgets(office: AnOffice, caller: AnAdmin, asked: AnAsk, account_id: str, body: Budgets) -> Json:
    """Replaces all budgets of an account. Counters keep what they counted, whatever becomes of the caps."""
    account = await office.account(caller.scope, account_id)
    done = await _set(office, asked.id, account.id, body)
    return await _shown(office, account.id, done)


@ROUTER.get("/accounts/{account_id}/budgets", responses=answers(BudgetPage))
async def account_budgets(office: AnOffice, caller: AnAdmin, account_id: str) -> Json:
    """Shows the budgets of an account."""
    return await _shown(office, (await office.account(caller.scope, account_id)).id)


@ROUTER.put("/keys/{key_id}/budgets", responses=answers(BudgetPage))
async def set_key_budgets(office: AnOffice, caller: AnAdmin, asked: AnAsk, key_id: str, body: Budgets) -> Json:
    """Replaces all budgets of a key, but for its own limit and rate limits."""
    key = await office.key(caller.scope, key_id)
    done = await _set(office, asked.id, key.id, body)
    return await _shown(office, key.id, done)


@ROUTER.get("/keys/{key_id}/budgets", responses=answers(BudgetPage))
async def key_budgets(office: AnOffice, caller: AnAdmin, key_id: str) -> Json:
    """Shows the budgets of a key, but for its own limit and rate limits."""
    return await _shown(office, (await office.key(caller.scope, key_id)).id)


async def _set(office: Office, command: str, scope: str, body: list[BudgetIn]) -> Done:
    budgets = tuple(one.budget(scope) for one in body)
    if len({(one.counter.id, one.measure, one.hard) for one in budgets}) != len(budgets):
        raise Problem("invalid_request", "Two of these budgets cap the same thing: leave the lower one.")
    return await office.do(SetBudgets(command, scope, budgets))


async def _shown(office: Office, scope: str, done: Done | None = None) -> Json:
    def find(reports: Reports) -> list[dict[str, object]]:
        now = reports.now()
        budgets = [one for one in reports.budgets(scope) if not one.is_key_limit and not one.rate]
        return [views.budget(cap, now) for cap in reports.caps(budgets, now)]

    return Json({"data": await office.read(find), "next_cursor": None}, 200, told(done) if done is not None else {})
