"""What is laid down counts from the next request on, although the gateway remembers: keys, accounts, models, caps, prices, markups."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from farebox.clock import wall_clock
from farebox.gateway.identify import hash_of
from farebox.ids import new_id
from farebox.ledger.commands import EditAccount, EditKey, SetBudgets
from farebox.ledger.model import Budget, Counter, Filter
from farebox.money import divide_half_even
from farebox.pricing.rows import PriceRow
from farebox.store.pricebook import publish, publishing
from farebox.store.reading import Reader
from support.house import House, until


async def _reason(house: House, secret: str, **more: Any) -> tuple[int, str]:
    answer = await house.chat(secret, **more)
    return answer.status_code, answer.headers.get("x-farebox-reason", "")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"status": "revoked"}, (401, "key_revoked")),
        ({"status": "paused"}, (403, "key_paused")),
        ({"expires_at": 1}, (401, "key_expired")),
        ({"models": ["gpt-4o"]}, (403, "model_not_allowed")),
        ({"hash": hash_of("another")}, (401, "invalid_key")),
    ],
    ids=["revoked", "paused", "expired", "models", "rotated"],
)
async def test_a_key_that_is_changed_is_refused_by_the_next_request(house: House, changes: dict[str, Any], told: tuple[int, str]) -> None:
    """Although its policy was remembered a moment ago; and nothing moves."""
    secret = await house.customer()
    assert (await house.chat(secret)).status_code == 200
    await house.edit_key(secret, **changes)
    books = house.books()
    assert await _reason(house, secret) == told
    assert house.books() == books


@pytest.mark.parametrize(
    ("before", "after"),
    [({"status": "paused"}, {"status": "active"}), ({"expires_at": 1}, {"expires_at": None}), ({"models": ["gpt-4o"]}, {"models": []})],
    ids=["resumed", "prolonged", "allowed"],
)
async def test_a_key_that_is_allowed_again_is_served_by_the_next_request(house: House, before: Any, after: Any) -> None:
    """A refusal is never given on what is remembered."""
    secret = await house.customer()
    await house.edit_key(secret, **before)
    assert (await house.chat(secret)).status_code in (401, 403)
    await house.edit_key(secret, **after)
    assert (await house.chat(secret)).status_code == 200


async def test_a_key_expires_by_the_clock_alone(house: House) -> None:
    """Nobody has to come and change it."""
    secret = await house.customer(expires_at=wall_clock() + 400_000)
    assert (await house.chat(secret)).status_code == 200
    await until(lambda: wall_clock() >= house.rows("SELECT expires_at FROM keys WHERE hash = ?", hash_of(secret))[0][0])
    assert await _reason(house, secret) == (401, "key_expired")


async def test_a_new_key_works_at_once_and_an_unknown_one_is_not_remembered(house: House) -> None:
    """What was no key a moment ago may be one now."""
    account = await house.account()
    assert await _reason(house, "fbx_to_come") == (401, "invalid_key")
    secret = await house.key(account)
    await house.edit_key(secret, hash=hash_of("fbx_to_come"))
    assert (await house.chat("fbx_to_come")).status_code == 200


async def test_a_pause_anywhere_above_pauses_the_key(house: House) -> None:
    """The organization is paused: no team's key is served; resumed, they all are."""
    organization = await house.account()
    team = await house.account("0", parent=organization, own_wallet=False)
    secret = await house.key(team)
    assert (await house.chat(secret)).status_code == 200
    await house.command(EditAccount(new_id("cmd"), organization, {"status": "paused", "status_why": "audit"}))
    answer = await house.chat(secret)
    assert (answer.status_code, answer.headers["x-farebox-reason"]) == (403, "account_paused")
    assert "audit" in answer.json()["error"]["message"]
    await house.command(EditAccount(new_id("cmd"), organization, {"status": "active"}))
    assert (await house.chat(secret)).status_code == 200


async def test_free_routes_heed_the_same_rules(house: House) -> None:
    """A listing of models is not for a key that was revoked a moment ago."""
    secret = await house.customer()
    headers = {"authorization": f"Bearer {secret}"}
    assert (await house.http.get(f"{house.url}/v1/models", headers=headers)).status_code == 200
    await house.edit_key(secret, status="revoked")
    assert (await house.http.get(f"{house.url}/v1/models", headers=headers)).headers["x-farebox-reason"] == "key_revoked"


async def test_a_cap_counts_from_the_next_request_and_keeps_what_was_spent(house: House) -> None:
    """Lowered below what is spent it refuses; raised it admits; the counter is the same all along."""
    secret = await house.customer("5.00", "1.00")
    assert (await house.chat(secret, "hi sim:output=1000")).status_code == 200
    spent = house.books()["spent"]
    await house.command(EditKey(new_id("cmd"), house.key_id(secret), {}, spent))
    assert await _reason(house, secret) == (402, "exhausted")
    await house.command(EditKey(new_id("cmd"), house.key_id(secret), {}, spent + 10_000_000))
    answer = await house.chat(secret)
    assert answer.status_code == 200
    await house.command(EditKey(new_id("cmd"), house.key_id(secret), {}, None))
    assert (await house.chat(secret)).status_code == 200


async def test_a_budget_of_a_parent_is_named_without_its_id(house: House) -> None:
    """Which limit refused is said; whose account that is, is nobody's business below."""
    organization = await house.account()
    team = await house.account("0", parent=organization, own_wallet=False)
    secret = await house.key(team, None)
    await house.command(SetBudgets(new_id("cmd"), organization, (Budget(Counter(organization, "month"), 1_000),)))
    answer = await house.chat(secret)
    assert (answer.status_code, answer.headers["x-farebox-reason"]) == (402, "budget_exceeded")
    assert "month budget of a parent account" in answer.json()["error"]["message"]
    assert organization not in answer.text


async def test_a_budget_on_some_models_leaves_the_others_alone(house: House) -> None:
    """The filter is by the model that is called."""
    account = await house.account()
    secret = await house.key(account, None)
    counter = Counter(account, "day", filter=Filter(models=("gpt-4o-mini",)))
    await house.command(SetBudgets(new_id("cmd"), account, (Budget(counter, 1_000),)))
    assert await _reason(house, secret) == (402, "budget_exceeded")
    assert (await house.chat(secret, model="gpt-4o")).status_code == 200


# --- prices ---------------------------------------------------------------------------------------------------------------------------


async def _reprice(house: House, change: Callable[[PriceRow], PriceRow | None], scope: str = "") -> int:
    """A new version of the book, with every price of gpt-4o-mini as `change` has it; in a scope only those."""
    reader = Reader(house.running.settings.store_path)
    try:
        books = reader.books()
    finally:
        reader.close()
    listed = list(books.listed.prices())
    if scope:
        prices = [changed for row in listed if row.model == "gpt-4o-mini" and (changed := change(row))]
    else:
        prices = [changed for row in listed if (changed := change(row) if row.model == "gpt-4o-mini" else row)]
    async with publishing(house.running.batcher) as owner:
        return await publish(house.running.batcher, owner, books, books.listed.rows(), prices, scope=scope)


def _times(factor: int) -> Callable[[PriceRow], PriceRow]:
    return lambda row: msgspec.structs.replace(row, pico=row.pico * factor)


async def test_a_new_price_counts_from_the_next_request(house: House) -> None:
    """Planned with the old book, planned again: ten times the price is held and charged."""
    secret = await house.customer("5.00", None)
    first = await house.chat(secret)
    await _reprice(house, _times(10))
    second = await house.chat(secret)
    assert second.status_code == 200
    before, after = house.charges()
    assert after.price == 10 * before.price
    assert float(second.headers["x-farebox-hold"]) > 9 * float(first.headers["x-farebox-hold"])


async def test_a_price_that_changes_meanwhile_leaves_the_call_in_flight_alone(house: House) -> None:
    """The hold's version of the whole book stays: quoted by the old price, charged by the old price."""
    secret = await house.customer("5.00", None)
    slow = asyncio.ensure_future(house.chat(secret, "hi sim:delay=400"))
    await house.held()
    await _reprice(house, _times(10))
    assert (await slow).status_code == 200
    (charge,) = await house.agree()
    assert charge.completeness == "exact"


async def test_a_model_that_loses_its_price_is_refused_by_the_next_request(house: House) -> None:
    """No price, no hold, no call."""
    secret = await house.customer("5.00", None)
    assert (await house.chat(secret)).status_code == 200
    await _reprice(house, lambda _row: None)
    assert await _reason(house, secret) == (403, "model_not_priced")


async def test_a_markup_is_held_and_charged(house: House) -> None:
    """15 % and a fixed amount per call, of the nearest account that sets one; the provider's cost is kept apart."""
    account = await house.account(markup_basis_points=1500, markup_fixed_nano=1_000_000)
    secret = await house.key(account)
    assert (await house.chat(secret, "hi sim:output=100")).status_code == 200
    (charge,) = house.charges()
    bill = int((await house.sim_calls())[0]["nano"])
    assert charge.cost == charge.list_cost == bill
    assert charge.price == charge.paid
    assert abs(charge.price - (divide_half_even(bill * 11_500, 10_000) + 1_000_000)) <= 1
    await house.command(EditAccount(new_id("cmd"), account, {"markup_basis_points": 0, "markup_fixed_nano": 0}))
    assert (await house.chat(secret)).status_code == 200
    assert house.charges()[-1].price == house.charges()[-1].cost


async def test_an_own_price_is_held_and_charged_instead_of_list_and_markup(house: House) -> None:
    """The customer pays what was agreed; the cost is what the provider bills."""
    account = await house.account(markup_basis_points=5000)
    secret = await house.key(account)
    await _reprice(house, _times(3), scope=account)
    assert (await house.chat(secret, "hi sim:output=100")).status_code == 200
    (charge,) = house.charges()
    assert charge.cost == int((await house.sim_calls())[0]["nano"])
    assert charge.price == 3 * charge.cost
    other = await house.customer()
    assert (await house.chat(other)).status_code == 200
    assert house.charges()[-1].price == house.charges()[-1].cost, "another customer pays the list price"


async def test_a_price_of_zero_is_a_price(house: House) -> None:
    """A free model is held at zero and charged zero, with rows like any other, and an empty wallet suffices."""
    await _reprice(house, _times(0))
    secret = await house.customer("0", None)
    answer = await house.chat(secret)
    assert answer.status_code == 200
    assert answer.headers["x-farebox-cost"] == "0.00"
    assert [(charge.price, charge.completeness) for charge in house.charges()] == [(0, "exact")]
