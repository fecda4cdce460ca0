"""Usage by any mix of dimensions: sums that equal the windows', units, percentiles, CSV."""

import csv
import io
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest

from control.back import Back

ALL = ("key", "account", "user", "model", "provider", "route", "status", "run", "hour", "day", "tag:team")


async def _traffic(back: Back) -> dict[str, str]:
    account = await back.account("50.00")
    pinned, _ = await back.key(account, None, tags={"team": "pinned"})
    free, _ = await back.key(account, None)
    for number in range(20):
        await back.call(
            free, 1_000_000 + number, tags="feature=x,team=blue" if number % 2 else "", user=f"u{number % 3}", run=f"r{number % 2}"
        )
    for _ in range(10):
        await back.call(pinned, 5_000_000, model="anthropic/claude-sonnet-5-5", tags="team=lies")
    hold = await back.hold(free, 77_000_000)
    assert hold is not None
    await back.release(hold)
    return {"account": account, "pinned": pinned, "free": free}


async def _usage(back: Back, **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await back.get("/usage", params=query))["data"]
    return found


async def test_usage_equals_what_the_windows_of_keys_counted(back: Back) -> None:
    """One set of numbers: by key it is each key's usage, in sum the wallet's spent."""
    made = await _traffic(back)
    by_key = {group["key"]: group for group in await _usage(back, by="key")}
    for key in (made["pinned"], made["free"]):
        assert Decimal(by_key[key]["price_usd"]) == (await back.get(f"/keys/{key}"))["data"]["usage"]
    (total,) = await _usage(back)
    assert total["paid_usd"] == (await back.get(f"/accounts/{made['account']}/balance"))["spent"]
    assert (total["calls"], total["released"], total["tokens"]) == (30, 1, 30 * 120)
    assert total["units"] == {"in_text_uncached": 3000, "out_text": 600}


@pytest.mark.parametrize("by", [*ALL, "key,model,hour,tag:team", "day,status"])
async def test_groups_of_any_kind_sum_up_to_the_whole(back: Back, by: str) -> None:
    """Nothing is lost between groups or counted in two."""
    await _traffic(back)
    (total,) = await _usage(back)
    groups = await _usage(back, by=by)
    assert all(set(by.split(",")) <= group.keys() for group in groups)
    for name in ("price_usd", "paid_usd", "provider_cost_usd", "calls", "released", "tokens"):
        assert sum(Decimal(group[name]) for group in groups) == Decimal(total[name])
    units: Counter[str] = Counter()
    for group in groups:
        units.update(group["units"])
    assert units == total["units"]


async def test_a_tag_pinned_on_the_key_wins_over_what_a_caller_sends(back: Back) -> None:
    """Who pays for what is not for callers to say."""
    await _traffic(back)
    assert {group["tag:team"]: group["calls"] for group in await _usage(back, by="tag:team")} == {"": 10, "blue": 10, "pinned": 10}
    assert {group["tag:feature"]: group["calls"] for group in await _usage(back, by="tag:feature")} == {"": 20, "x": 10}


async def test_percentiles_are_of_calls_that_had_such_a_moment(back: Back) -> None:
    """Half and 95 % of the calls."""
    account = await back.account()
    key, _ = await back.key(account)
    for number in range(1, 101):
        hold = await back.hold(key, 1000)
        assert hold is not None
        await back.charge(hold, 10, first_byte_us=number * 1000)
    (total,) = await _usage(back, by="key")
    assert total["first_byte_us"]["p50"] == 50_000
    assert 94_000 <= total["first_byte_us"]["p95"] <= 96_000
    assert total["total_us"]["p50"] == 150_000


async def test_csv_has_the_same_rows_and_no_formulas(back: Back) -> None:
    """By Accept or by format; what a caller named cannot run in a spreadsheet."""
    account = await back.account()
    key, _ = await back.key(account)
    await back.call(key, 1000, user="=cmd|' /C calc'!A0")
    answer = await back.http.get("/api/v1/usage?by=user,model", headers={"accept": "text/csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    (row,) = csv.DictReader(io.StringIO(answer.text))
    assert row["user"] == "'=cmd|' /C calc'!A0"
    assert (row["model"], row["calls"], row["price_usd"], row["out_text"]) == ("openai/gpt-4o-mini", "1", "0.000001", "20")
    assert (await back.http.get("/api/v1/usage?by=user,model&format=csv")).text == answer.text


async def test_pages_of_groups_carry_their_own_units(back: Back) -> None:
    """Every group once, with what was consumed in it."""
    await _traffic(back)
    whole = await _usage(back, by="run,user,key")
    seen: list[dict[str, Any]] = []
    cursor = None
    while True:
        page = await back.get("/usage", params={"by": "run,user,key", "limit": 2, **({"cursor": cursor} if cursor else {})})
        seen += page["data"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == whole
    assert len(whole) == 8


async def test_usage_is_of_a_time_an_account_or_a_key(back: Back) -> None:
    """From is within, to is not; an account counts all below it."""
    made = await _traffic(back)
    child = await back.account(None, parent=made["account"])
    key, _ = await back.key(child, None)
    request = await back.call(key, 1_000_000)
    at = (await back.get(f"/charges?request_id={request}"))["data"][0]["created_at"]
    assert (await _usage(back, key=key))[0]["calls"] == 1
    assert (await _usage(back, account=made["account"]))[0]["calls"] == 31
    assert (await _usage(back, account=child))[0]["calls"] == 1
    assert (await _usage(back, key=key, **{"from": at}))[0]["calls"] == 1
    assert await _usage(back, key=key, to=at) == []


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("by=colour", "cannot be grouped"),
        ("by=tag:", "cannot be grouped"),
        ("by=tag:a b", "cannot be grouped"),
        ("by=key,model,hour,day,run", "at most 4"),
        ("from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "not before"),
        ("from=2020-01-01T00:00:00Z&to=2026-01-01T00:00:00Z", "more than 400 days"),
        ("from=yesterday", "not a time"),
        ("from=2026-01-01T00:00:00", "not a time"),
        ("frm=2026-01-01T00:00:00Z", "did you mean from"),
        ("limit=0", "greater than or equal to 1"),
        ("limit=1001", "less than or equal to 1000"),
    ],
)
async def test_a_question_that_makes_no_sense_is_told_why(back: Back, query: str, words: str) -> None:
    """422, never an empty answer to another question."""
    problem = await back.get(f"/usage?{query}", status=422)
    assert words in problem["detail"]


async def test_a_report_that_takes_too_long_is_given_up(back: Back, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the advice to ask for less; the connection works on."""
    from farebox import limits
    from farebox.store import sqlite_connection

    await _traffic(back)
    with monkeypatch.context() as patched:
        patched.setattr(limits, "report_s_max", -1)
        patched.setattr(sqlite_connection, "_PROGRESS_STEPS", 1)
        answer = await back.http.get("/api/v1/charges")
        assert (answer.status_code, answer.json()["code"]) == (422, "report_too_long")
    assert len(await _usage(back, by="key")) == 2
