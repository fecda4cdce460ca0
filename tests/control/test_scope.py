"""Admin keys of one account: they see and change its subtree, and everything else does not exist."""

from typing import Any

import pytest

from control.back import Back


class Town:
    """Two roots with a team each, keys and a call everywhere, and an admin key of the first root's team."""

    accounts: dict[str, str]
    keys: dict[str, str]
    requests: dict[str, str]
    admin: str


@pytest.fixture
async def town(back: Back) -> Town:
    made = Town()
    made.accounts, made.keys, made.requests = {}, {}, {}
    for root in ("mine", "theirs"):
        made.accounts[root] = await back.account("9.00", external_id=root)
        made.accounts[f"{root}/team"] = await back.account("1.00", parent=made.accounts[root], wallet="own")
        made.accounts[f"{root}/team/one"] = await back.account(None, parent=made.accounts[f"{root}/team"])
    for name, account in made.accounts.items():
        made.keys[name], _ = await back.key(account)
        made.requests[name] = await back.call(made.keys[name], 1000)
    made.admin = await back.admin(made.accounts["mine/team"])
    return made


WITHIN = ("mine/team", "mine/team/one")


async def test_lists_show_the_subtree_and_nothing_else(back: Back, town: Town) -> None:
    """Accounts, keys, charges, holds, usage."""
    inside = {town.accounts[name] for name in WITHIN}
    keys = {town.keys[name] for name in WITHIN}

    async def listed(path: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await back.get(path, secret=town.admin))["data"]
        return found

    assert {one["id"] for one in await listed("/accounts")} == inside
    assert {one["id"] for one in await listed("/keys")} == keys
    assert {one["key"] for one in await listed("/charges")} == keys
    assert {one["key"] for one in await listed("/holds")} == keys
    assert {one["key"] for one in await listed("/usage?by=key")} == keys
    assert {one["account"] for one in await listed("/transfers")} == {town.accounts["mine/team"]}
    assert await listed(f"/usage?account={town.accounts['theirs']}") == []
    assert await listed("/accounts?external_id=theirs") == []


@pytest.mark.parametrize("whose", ["mine", "theirs", "theirs/team", "theirs/team/one"])
async def test_what_lies_outside_does_not_exist(back: Back, town: Town, whose: str) -> None:
    """Every route that names an account, key, charge or request: 404 in the same words as for what is nowhere, and nothing moves."""
    account, key, request = town.accounts[whose], town.keys[whose], town.requests[whose]
    charge = f"hold_{request.removeprefix('req_')}1"
    before = await back.post("/verify")
    asked: list[tuple[str, str, Any]] = [
        ("GET", f"/accounts/{account}", None),
        ("PATCH", f"/accounts/{account}", {"name": "x"}),
        ("GET", f"/accounts/{account}/balance", None),
        ("POST", f"/accounts/{account}/grants", {"amount_usd": "1"}),
        ("POST", f"/accounts/{account}/adjustments", {"amount_usd": "1"}),
        ("POST", f"/accounts/{account}/moves", {"to": town.accounts["mine/team"], "amount_usd": "1"}),
        ("GET", f"/accounts/{account}/budgets", None),
        ("PUT", f"/accounts/{account}/budgets", []),
        ("GET", f"/keys/{key}", None),
        ("PATCH", f"/keys/{key}", {"name": "x"}),
        ("DELETE", f"/keys/{key}", None),
        ("POST", f"/keys/{key}/pause", None),
        ("POST", f"/keys/{key}/resume", None),
        ("POST", f"/keys/{key}/rotate", None),
        ("GET", f"/keys/{key}/budgets", None),
        ("PUT", f"/keys/{key}/budgets", []),
        ("GET", f"/charges/{charge}", None),
        ("POST", f"/charges/{charge}/refunds", {}),
        ("GET", f"/generation?id={request}", None),
        ("POST", "/quotes", {"key": key, "route": "chat_completions", "body": {"model": "gpt-4o", "messages": []}}),
    ]
    for method, path, body in asked:
        problem = await back.ask(method, path, body, secret=town.admin, status=(404, 400))
        if path != "/quotes":
            assert problem["code"] == "not_found", (path, problem)
    named: list[tuple[str, Any]] = [
        ("/accounts", {"parent": account}),
        ("/keys", {"account": account, "limit": 1}),
        (f"/accounts/{town.accounts['mine/team']}/moves", {"to": account, "amount_usd": "0.10"}),
        ("/prices/import", {"scope": account, "csv": "provider,model,unit,usd,per\n"}),
    ]
    for path, body in named:
        assert (await back.post(path, body, secret=town.admin, status=422))["code"] == "unknown_account"
    after = await back.post("/verify")
    assert (after["sums_usd"], after["counts"]) == (before["sums_usd"], before["counts"])


async def test_what_concerns_everybody_needs_the_full_scope(back: Back, town: Town) -> None:
    """Verify, and the price list."""
    for path, body in (("/verify", None), ("/prices/import", {})):
        assert (await back.post(path, body, secret=town.admin, status=403))["code"] == "needs_full_scope"


async def test_new_accounts_and_customers_lie_below_the_scope(back: Back, town: Town) -> None:
    """Where no parent is named. A customer that is known elsewhere is not taken over."""
    made = await back.post("/accounts", {"name": "x"}, secret=town.admin)
    assert made["parent"] == town.accounts["mine/team"]
    key = (await back.post("/keys", {"external_user": "new", "limit": 1}, secret=town.admin))["data"]
    assert (await back.get(f"/accounts/{key['account']}"))["parent"] == town.accounts["mine/team"]
    problem = await back.post("/keys", {"external_user": "theirs", "limit": 1}, secret=town.admin, status=409)
    assert problem["code"] == "external_id_taken"
    assert town.accounts["theirs"] not in str(problem)


async def test_a_wallet_above_the_scope_is_not_shown(back: Back, town: Town) -> None:
    """Who shares its parent's money learns what its keys may spend, not how much there is."""
    sharing = await back.account(None, parent=town.accounts["mine"])
    admin = await back.admin(sharing)
    assert (await back.get(f"/accounts/{sharing}/balance", secret=admin, status=404))["code"] == "not_found"
    key = (await back.post("/keys", {"account": sharing, "limit": 1}, secret=admin))["data"]
    assert key["exposure_usd"] == 1


async def test_a_revoked_admin_key_is_good_for_nothing(back: Back, town: Town) -> None:
    """From the next request on."""
    from farebox.keyformat import fingerprint_of

    admin = back.reports.admin_key(fingerprint_of(town.admin))
    assert admin is not None
    await back.batcher.write("revoke_admin_key", [(admin.id, 1)])
    assert (await back.get("/accounts", secret=town.admin, status=401))["code"] == "invalid_key"
