"""Money over the API: what comes in, is corrected, moves and is given back. Every test ends with the books verified."""

import asyncio
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from control.back import Back, open_back
from farebox.clock import US_PER_HOUR, from_rfc3339, to_rfc3339

PARTS = ("spent", "held", "expired", "pending", "available")


def adds_up(balance: dict[str, Any]) -> bool:
    return Decimal(balance["granted"]) == sum(Decimal(balance[part]) for part in PARTS)


async def test_the_same_top_up_fifty_times_at_once_is_one_credit(back: Back) -> None:
    """Every repeat is answered as the first was, and says that it is a repeat."""
    account = await back.account(None)
    headers = {"idempotency-key": "payment pi_3Q"}
    body = {"amount_usd": "12.50", "note": "card"}
    asked = [back.http.post(f"/api/v1/accounts/{account}/grants", json=body, headers=headers) for _ in range(50)]
    answers = await asyncio.gather(*asked)
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    assert Counter("x-farebox-replayed" in answer.headers for answer in answers) == {True: 49, False: 1}
    balance = await back.get(f"/accounts/{account}/balance")
    assert balance["granted"] == balance["available"] == "12.50"
    assert len(balance["grants"]) == 1


async def test_an_idempotency_key_with_other_content_is_a_conflict(back: Back) -> None:
    """Another amount, another account, another kind of request: 409, and nothing moves."""
    account, other = await back.account(None), await back.account(None)
    await back.post(f"/accounts/{account}/grants", {"amount_usd": "1"}, once="a")
    for path, body in (
        (f"/accounts/{account}/grants", {"amount_usd": "2"}),
        (f"/accounts/{other}/grants", {"amount_usd": "1"}),
        (f"/accounts/{account}/adjustments", {"amount_usd": "1"}),
        ("/accounts", {"name": "x"}),
        ("/keys", {"account": account, "limit": 1}),
    ):
        problem = await back.post(path, body, once="a", status=409)
        assert problem["code"] == "id_conflict"
    assert (await back.get(f"/accounts/{account}/balance"))["granted"] == "1.00"
    assert len((await back.get("/accounts"))["data"]) == 2
    assert (await back.get("/keys"))["data"] == []


async def test_idempotency_keys_of_different_admin_keys_do_not_meet(back: Back) -> None:
    """Each admin key has names of its own."""
    account = await back.account(None)
    other = await back.admin(None)
    await back.post(f"/accounts/{account}/grants", {"amount_usd": "1"}, once="a")
    await back.post(f"/accounts/{account}/grants", {"amount_usd": "1"}, once="a", secret=other)
    assert (await back.get(f"/accounts/{account}/balance"))["granted"] == "2.00"


async def test_a_refusal_is_repeated_too(back: Back) -> None:
    """What was refused once under a name stays refused, even when it would now be possible."""
    account = await back.account("1.00")
    body = {"amount_usd": "-2"}
    first = await back.post(f"/accounts/{account}/adjustments", body, once="a", status=409)
    assert (first["code"], first["needed_usd"], first["available_usd"]) == ("exceeds_available", "2.00", "1.00")
    await back.post(f"/accounts/{account}/grants", {"amount_usd": "5"})
    assert await back.post(f"/accounts/{account}/adjustments", body, once="a", status=409) == first
    await back.post(f"/accounts/{account}/adjustments", body, once="b")


@pytest.mark.parametrize("amount", ['"12.000000001"', "12.000000001", '"$12.000000001"', "12.0000000010"])
async def test_amounts_are_read_from_their_literal(back: Back, amount: str) -> None:
    """A nano-dollar beside twelve dollars survives, as string and as number."""
    account = await back.account(None)
    headers = {"content-type": "application/json"}
    answer = await back.http.post(f"/api/v1/accounts/{account}/grants", content=f'{{"amount_usd": {amount}}}', headers=headers)
    assert answer.json()["amount_usd"] == "12.000000001"


@pytest.mark.parametrize(
    "amount",
    ['"0"', '"-1"', '"0.0000000001"', "1e-10", '"NaN"', '"Infinity"', "1e300", "true", "null", "[1]", '"1,5"', '"\uff19"', "4611686018.5"],
)
async def test_what_is_no_amount_moves_nothing(back: Back, amount: str) -> None:
    """Nothing, less than nothing, finer than a nano-dollar, or not a number: refused with the field's name."""
    account = await back.account(None)
    headers = {"content-type": "application/json"}
    answer = await back.http.post(f"/api/v1/accounts/{account}/grants", content=f'{{"amount_usd": {amount}}}', headers=headers)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"] == "amount_usd"
    assert (await back.get("/transfers"))["data"] == []


async def test_a_balance_is_decided_by_now(tmp_path: Path) -> None:
    """What has not begun is pending, what is over is expired, at the very moment and with nobody having booked it."""
    moment = [from_rfc3339("2026-11-21T12:00:00Z")]
    async with open_back(tmp_path, clock=lambda: moment[0]) as back:
        account = await back.account("1.00")
        begins, ends = (to_rfc3339(moment[0] + hours * US_PER_HOUR) for hours in (1, 2))
        await back.post(
            f"/accounts/{account}/grants",
            {"amount_usd": "2", "kind": "promotion", "effective_at": begins, "expires_at": ends, "priority": 5},
        )

        async def parts() -> list[str]:
            balance = await back.get(f"/accounts/{account}/balance")
            assert adds_up(balance)
            return [balance[part] for part in ("pending", "available", "expired")]

        assert await parts() == ["2.00", "1.00", "0.00"]
        moment[0] += US_PER_HOUR
        assert await parts() == ["0.00", "3.00", "0.00"]
        moment[0] += US_PER_HOUR
        assert await parts() == ["0.00", "1.00", "2.00"]


async def test_held_and_spent_are_shown_apart(back: Back) -> None:
    """A hold is not spend, anywhere."""
    account = await back.account()
    key, _ = await back.key(account)
    hold = await back.hold(key, 400_000_000)
    assert hold is not None
    balance = await back.get(f"/accounts/{account}/balance")
    assert (balance["held"], balance["spent"], balance["available"]) == ("0.40", "0.00", "4.60")
    shown = (await back.get(f"/keys/{key}"))["data"]
    assert (shown["held"], shown["usage"], shown["limit_remaining"]) == (Decimal("0.40"), 0, Decimal("0.60"))
    await back.charge(hold, 100_000_000)
    balance = await back.get(f"/accounts/{account}/balance")
    assert (balance["held"], balance["spent"], balance["available"]) == ("0.00", "0.10", "4.90")
    shown = (await back.get(f"/keys/{key}"))["data"]
    assert (shown["held"], shown["usage"], shown["limit_remaining"]) == (0, Decimal("0.10"), Decimal("0.90"))


async def test_a_refund_gives_back_at_most_what_was_paid(back: Back) -> None:
    """In parts, then the rest, then no more; spent stays spent."""
    account = await back.account()
    key, _ = await back.key(account)
    request = await back.call(key, 300_000_000)
    charge = (await back.get(f"/charges?request_id={request}"))["data"][0]["id"]
    part = await back.post(f"/charges/{charge}/refunds", {"amount_usd": "0.10", "note": "sorry"}, once="r1")
    assert (part["kind"], part["amount_usd"], part["charge"]) == ("refund", "0.10", charge)
    assert await back.post(f"/charges/{charge}/refunds", {"amount_usd": "0.10", "note": "sorry"}, once="r1") == part
    rest = await back.post(f"/charges/{charge}/refunds", {})
    assert rest["amount_usd"] == "0.20"
    assert (await back.post(f"/charges/{charge}/refunds", {}, status=409))["code"] == "exceeds_paid"
    balance = await back.get(f"/accounts/{account}/balance")
    assert (balance["spent"], balance["available"], balance["granted"]) == ("0.30", "5.00", "5.30")
    assert (await back.get(f"/charges/{charge}"))["refunded_usd"] == "0.30"
    assert (await back.get(f"/keys/{key}"))["data"]["usage"] == Decimal("0.30")
    await back.post("/charges/hold_nonsense/refunds", {}, status=404)


async def test_money_moves_within_a_root_only(back: Back) -> None:
    """To a child's own wallet and back, on both sides' lists; not to a stranger, not to an account without a wallet."""
    root = await back.account()
    child = await back.account(None, parent=root, wallet="own")
    sharing = await back.account(None, parent=root)
    stranger = await back.account(None)
    moved = await back.post(f"/accounts/{root}/moves", {"to": child, "amount_usd": "2"})
    assert (moved["kind"], moved["to"]) == ("move", child)
    assert (await back.get(f"/accounts/{child}/balance"))["available"] == "2.00"
    assert (await back.get(f"/accounts/{sharing}/balance"))["available"] == "3.00"
    assert [one["id"] for one in (await back.get(f"/transfers?account={child}"))["data"]] == [moved["id"]]
    assert (await back.post(f"/accounts/{root}/moves", {"to": stranger, "amount_usd": "1"}, status=409))["code"] == "other_root"
    assert (await back.post(f"/accounts/{root}/moves", {"to": sharing, "amount_usd": "1"}, status=409))["code"] == "no_own_wallet"
    assert (await back.post(f"/accounts/{root}/moves", {"to": child, "amount_usd": "9"}, status=409))["code"] == "exceeds_available"
    assert (await back.post(f"/accounts/{root}/moves", {"to": "acc_none", "amount_usd": "1"}, status=422))["code"] == "unknown_account"
    assert (await back.post(f"/accounts/{sharing}/grants", {"amount_usd": "1"}, status=409))["code"] == "no_own_wallet"


async def test_transfers_come_newest_first_in_pages(back: Back) -> None:
    """Every one once, whatever the size of the page."""
    account = await back.account(None)
    made = [(await back.post(f"/accounts/{account}/grants", {"amount_usd": "1"}))["id"] for _ in range(7)]
    seen: list[str] = []
    cursor = None
    while True:
        page = await back.get("/transfers", params={"limit": 3, **({"cursor": cursor} if cursor else {})})
        seen += [one["id"] for one in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == made[::-1]


async def test_what_was_written_off_is_shown_with_the_wallet(back: Back) -> None:
    """A charge above its hold and its cap: paid as far as the cap goes, the rest is the operator's."""
    account = await back.account()
    key, _ = await back.key(account, "1.00")
    hold = await back.hold(key, 500_000_000)
    assert hold is not None
    await back.charge(hold, 3_000_000_000)
    balance = await back.get(f"/accounts/{account}/balance")
    assert (balance["spent"], balance["written_off"], balance["available"]) == ("1.00", "2.00", "4.00")
    assert adds_up(balance)
    shown = (await back.get(f"/keys/{key}"))["data"]
    assert (shown["usage"], shown["limit_remaining"], shown["exposure_usd"]) == (3, 0, 0)
