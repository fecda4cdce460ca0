"""The price book over the API: listed, imported, compared, and own prices of accounts and keys."""

import asyncio
from typing import Any

from control.back import Back

HEAD = "provider,model,unit,usd,per\n"
MODEL = "openai,gpt-4o-mini,in_text_uncached,{},1000000\nopenai,gpt-4o-mini,out_text,{},1000000\n"
OWN = HEAD + MODEL


async def _prices(back: Back, **query: Any) -> dict[str, str]:
    page = await back.get("/prices", params={"model": "gpt-4o-mini", "provider": "openai", **query})
    return {one["unit"]: one["usd"] for one in page["data"] if not one["conditions"] and not one["tier_above"]}


async def test_prices_are_listed_with_where_they_are_from(priced: Back) -> None:
    """In dollars per million tokens, with source, validity and when they were checked."""
    page = await priced.get("/prices", params={"model": "openai/gpt-4o-mini"})
    row = next(one for one in page["data"] if one["unit"] == "out_text")
    assert (row["provider"], row["per"], row["route"], row["kind"]) == ("openai", 1_000_000, "chat_completions", "chat")
    assert row["source"].startswith("genai-prices")
    assert row["checked_at"] is not None
    assert page["version"] == 1


async def test_pages_of_prices_show_each_once(priced: Back) -> None:
    """And CSV has them all."""
    asked = {"provider": "openai", "at": "2026-11-21T00:00:00Z"}
    seen: list[dict[str, Any]] = []
    cursor = None
    while True:
        page = await priced.get("/prices", params={**asked, "limit": 150, **({"cursor": cursor} if cursor else {})})
        seen += page["data"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    lines = (await priced.http.get("/api/v1/prices", params={**asked, "format": "csv"})).text.splitlines()
    assert len(lines) == len(seen) + 1


async def test_what_is_written_as_csv_imports_as_no_change(priced: Back) -> None:
    """The file that one installation writes, another reads."""
    text = (await priced.http.get("/api/v1/prices?provider=anthropic", headers={"accept": "text/csv"})).text
    done = await priced.post("/prices/import", {"csv": text, "dry_run": True})
    assert (done["added"], done["changed"], done["removed"], done["version"]) == (0, 0, 0, None)
    assert done["prices"] > 20


async def test_a_jump_needs_acceptance_and_a_dry_run_changes_nothing(priced: Back) -> None:
    """A price wrong by a factor of a hundred is shown, not taken."""
    before = await _prices(priced)
    body = {"csv": OWN.format("15", "60"), "note": "typo?"}
    dry = await priced.post("/prices/import", {**body, "dry_run": True}, status=200)
    changed = [one for one in dry["changes"] if one["kind"] == "changed"]
    assert {(one["unit"], one["new_usd"], one["factor"][:3]) for one in changed} >= {
        ("in_text_uncached", "15.00", "100"),
        ("out_text", "60.00", "100"),
    }
    problem = await priced.post("/prices/import", body, status=409)
    assert problem["code"] == "needs_acceptance"
    assert len(problem["changes"]) == problem["needs_acceptance"] >= 2
    assert await _prices(priced) == before
    done = await priced.post("/prices/import", {**body, "accept": True})
    assert (done["version"], done["note"]) == (2, "typo?")
    assert (await _prices(priced))["out_text"] == "60.00"
    assert (await priced.get("/prices", params={"model": "gpt-4o"}))["data"], "what was not named stays"


async def test_an_import_is_repeated_without_effect(priced: Back) -> None:
    """The same at once, many times: one version; other content under the same key: a conflict."""
    body = {"csv": OWN.format("0.16", "0.61"), "accept": True}
    done = await asyncio.gather(*(priced.post("/prices/import", body, once="p") for _ in range(8)))
    assert len({str(one) for one in done}) == 1
    assert done[0]["version"] == 2
    assert (await priced.post("/prices/import", {**body, "csv": OWN.format("0.17", "0.61")}, once="p", status=409))["code"] == "id_conflict"
    assert (await priced.get("/prices?limit=1"))["version"] == 2


async def test_the_list_that_comes_with_farebox_can_be_taken_in_again(priced: Back) -> None:
    """It undoes an own row of the same model, and says so."""
    await priced.post("/prices/import", {"csv": OWN.format("0.16", "0.61"), "accept": True})
    done = await priced.post("/prices/import", {"accept": True})
    assert done["version"] == 3
    assert done["changed"] == 2
    assert (await _prices(priced))["out_text"] == "0.60"


async def test_own_prices_apply_to_their_account_alone(priced: Back) -> None:
    """A quote for its keys uses them; everybody else's does not."""
    account, other = await priced.account(), await priced.account()
    key, _ = await priced.key(account)
    problem = await priced.post("/prices/import", {"csv": OWN.format("0.10", "0.90"), "scope": account}, status=409)
    assert problem["code"] == "below_cost"
    answer = await priced.http.post(
        f"/api/v1/prices/import?scope={account}", content=OWN.format("0.30", "1.20"), headers={"content-type": "text/csv"}
    )
    assert answer.status_code == 201, answer.text
    assert (await _prices(priced, scope=account))["out_text"] == "1.20"
    assert (await _prices(priced))["out_text"] == "0.60"
    asked = {
        "route": "chat_completions",
        "body": {"model": "gpt-4o-mini", "service_tier": "default", "max_tokens": 1000, "messages": [{"role": "user", "content": "hi"}]},
    }
    mine = await priced.post("/quotes", {"key": key, **asked})
    listed = await priced.post("/quotes", {"account": other, **asked})
    assert float(mine["worst_case_usd"]) == 2 * float(listed["worst_case_usd"])
    assert mine["worst_case_cost_usd"] == listed["worst_case_cost_usd"]


async def test_own_prices_below_cost_are_taken_with_a_cap_on_the_cost(priced: Back) -> None:
    """Or when the loss is accepted."""
    account = await priced.account()
    body = {"csv": OWN.format("0.01", "0.01"), "scope": account}
    await priced.ask("PUT", f"/accounts/{account}/budgets", [{"limit_usd": "5", "measure": "provider_cost", "window": "month"}])
    assert (await priced.post("/prices/import", body))["version"] == 2
    key, _ = await priced.key(await priced.account())
    assert (await priced.post("/prices/import", {**body, "scope": key}, status=409))["code"] == "below_cost"
    await priced.post("/prices/import", {**body, "scope": key, "accept_loss": True})


async def test_a_file_that_cannot_be_read_is_told_line_by_line(priced: Back) -> None:
    """All or nothing."""
    problem = await priced.post("/prices/import", {"csv": HEAD + "openai,m,out_text,free,1\nopenai,m,nonsense,1,1\n"}, status=422)
    assert problem["code"] == "invalid_prices"
    assert [one["problem"][:6] for one in problem["errors"]] == ["line 2", "line 3"]
    await priced.post("/prices/import", {"csv": HEAD}, status=422)
    answer = await priced.http.post("/api/v1/prices/import", content=b"\xff\xfe", headers={"content-type": "text/csv"})
    assert answer.json()["code"] == "invalid_prices"
    answer = await priced.http.post("/api/v1/prices/import?accept=true", json={})
    assert answer.status_code == 422
    assert (await priced.get("/prices?limit=1"))["version"] == 1
