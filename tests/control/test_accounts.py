"""Accounts and budgets over the API."""

from decimal import Decimal
from typing import Any

import pytest

from control.back import Back


async def test_a_tree_of_accounts_shares_wallets_as_it_says(back: Back) -> None:
    """Roots have their own wallet; children draw on their parent's unless they say own."""
    root = await back.post("/accounts", {"name": "Acme", "kind": "organization", "external_id": "acme", "metadata": {"plan": "x"}})
    assert (root["wallet"], root["root"], root["parent"], root["metadata"]) == ("own", root["id"], None, {"plan": "x"})
    child = await back.post("/accounts", {"parent": root["id"]})
    assert (child["wallet"], child["wallet_id"], child["root"]) == ("parent", root["id"], root["id"])
    rich = await back.post("/accounts", {"parent": root["id"], "wallet": "own"})
    assert rich["wallet_id"] == rich["id"]
    await back.post("/accounts", {"wallet": "parent"}, status=422)
    assert (await back.post("/accounts", {"external_id": "acme"}, status=409))["code"] == "external_id_taken"
    assert [one["id"] for one in (await back.get(f"/accounts?parent={root['id']}"))["data"]] == [child["id"], rich["id"]]
    assert (await back.get("/accounts?external_id=acme"))["data"] == [root]


async def test_what_may_change_of_an_account_changes(back: Back) -> None:
    """Its parent and wallet may not, and the message says so."""
    account = await back.account()
    key, _ = await back.key(account)
    paused = await back.ask("PATCH", f"/accounts/{account}", {"status": "paused", "status_why": "unpaid", "name": "x"})
    assert (paused["status"], paused["status_why"], paused["name"]) == ("paused", "unpaid", "x")
    assert await back.hold(key, 1000) is None
    assert back.refused == ["account_paused"]
    problem = await back.ask("PATCH", f"/accounts/{account}", {"parent": None}, status=422)
    assert "fixed" in problem["detail"]
    await back.ask("PATCH", f"/accounts/{account}", {"status": "closed"})
    assert (await back.ask("PATCH", f"/accounts/{account}", {"status": "active"}, status=409))["code"] == "account_closed"
    assert (await back.post("/keys", {"account": account, "limit": 1}, status=409))["code"] == "account_closed"


async def test_selling_below_cost_must_be_said(back: Back) -> None:
    """A negative markup needs accept_loss."""
    assert (await back.post("/accounts", {"markup_basis_points": -100}, status=409))["code"] == "below_cost"
    account = await back.account(None, markup_basis_points=-100, accept_loss=True)
    assert (await back.ask("PATCH", f"/accounts/{account}", {"markup_basis_points": -200}, status=409))["code"] == "below_cost"
    assert (await back.ask("PATCH", f"/accounts/{account}", {"markup_fixed_usd": "0.001"}))["markup_fixed_usd"] == "0.001"


async def test_budgets_show_what_the_gate_compares_with(back: Back) -> None:
    """Spent, held and available of the window that runs; replacing them keeps what was counted."""
    account = await back.account()
    key, _ = await back.key(account, None)
    await back.call(key, 300_000_000)
    hold = await back.hold(key, 200_000_000)
    assert hold is not None
    wanted: list[dict[str, Any]] = [
        {"limit_usd": "1.00", "window": "month", "timezone": "Europe/Berlin", "thresholds": [50, 90]},
        {"limit": 10_000, "measure": "tokens", "window": "rolling:24h"},
        {"limit_usd": "0.40", "window": "day", "models": ["anthropic/*"], "hard": False},
    ]
    page = await back.ask("PUT", f"/accounts/{account}/budgets", wanted)
    assert await back.get(f"/accounts/{account}/budgets") == page
    month, tokens, other = page["data"]
    assert (month["spent"], month["held"], month["available"], month["thresholds"]) == ("0.30", "0.20", "0.50", [50, 90])
    assert (tokens["limit"], tokens["spent"], tokens["held"], tokens["available"]) == (10_000, "120", "200", "9680")
    assert (other["spent"], other["hard"], other["models"]) == ("0.00", False, ["anthropic/*"])
    assert month["renews_at"] is not None
    lowered = (await back.ask("PUT", f"/accounts/{account}/budgets", [{**wanted[0], "limit_usd": "0.40"}]))["data"]
    assert (lowered[0]["spent"], lowered[0]["available"]) == ("0.30", "0.00")
    assert await back.hold(key, 1000) is None
    await back.charge(hold, 0)
    assert (await back.get(f"/accounts/{account}/budgets"))["data"][0]["available"] == "0.10"


async def test_a_keys_budgets_leave_its_own_limit_alone(back: Back) -> None:
    """Replacing all of them does not take the cap away."""
    account = await back.account()
    key, _ = await back.key(account, "1.00", tags={"team": "a"})
    await back.ask("PUT", f"/keys/{key}/budgets", [{"limit_usd": "0.10", "window": "hour", "tags": {"team": "a"}}])
    assert len((await back.get(f"/keys/{key}/budgets"))["data"]) == 1
    await back.ask("PUT", f"/keys/{key}/budgets", [])
    assert (await back.get(f"/keys/{key}"))["data"]["limit"] == Decimal("1.00")


@pytest.mark.parametrize(
    "budget",
    [
        {},
        {"limit_usd": "1", "limit": 1},
        {"limit": 1},
        {"limit_usd": "1", "measure": "tokens"},
        {"limit_usd": "1", "window": "fortnight"},
        {"limit_usd": "1", "window": "rolling:9y"},
        {"limit_usd": "1", "timezone": "Mars/Olympus"},
        {"limit_usd": "-1"},
        {"limit_usd": "1", "models": ["a b"]},
        {"limit_usd": "1", "tags": {"a": "b,c"}},
        {"limit_usd": "1", "widnow": "day"},
    ],
)
async def test_a_budget_that_cannot_be_is_refused_whole(back: Back, budget: dict[str, object]) -> None:
    """With its place in the list; the budgets that were there stay."""
    account = await back.account(None)
    await back.ask("PUT", f"/accounts/{account}/budgets", [{"limit_usd": "2"}])
    problem = await back.ask("PUT", f"/accounts/{account}/budgets", [{"limit_usd": "1", "window": "day"}, budget], status=422)
    assert problem["errors"][0]["field"].startswith("1")
    assert [one["limit_usd"] for one in (await back.get(f"/accounts/{account}/budgets"))["data"]] == ["2.00"]
