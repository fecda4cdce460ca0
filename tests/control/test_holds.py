"""Holds of work that is not proxied: what they set aside, what becomes of them, and who may touch them."""

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from control.back import Back, open_back
from farebox.clock import US_PER_MINUTE, US_PER_S, wall_clock
from farebox.control.office import Office
from farebox.control.unproxied.app import Unproxied
from farebox.ledger.commands import Authorize
from farebox.store.sweeper import Sweeper

METERS = "provider,model,unit,usd,per\nown,render minute,millionths,0.02,1000000\n"


ENDINGS: tuple[tuple[str, dict[str, Any]], ...] = (("capture", {"amount_usd": "1"}), ("release", {}), ("extend", {"lifetime_s": 60}))


def quietly(*_: object, **__: object) -> None:
    """Alarms that a test expects."""


async def balance(back: Back, account: str) -> tuple[str, str, str]:
    """Spent, held, available."""
    told = await back.get(f"/accounts/{account}/balance")
    return told["spent"], told["held"], told["available"]


async def test_an_amount_is_set_aside_captured_at_what_it_came_to_and_the_rest_given_back(back: Back) -> None:
    """The three numbers of the wallet after each step."""
    account = await back.account("10.00")
    held = await back.post("/holds", {"account": account, "amount_usd": "4.00"})
    assert (held["state"], held["amount_usd"], held["provider"], held["model"]) == ("open", "4.00", "own", "amount")
    assert await balance(back, account) == ("0.00", "4.00", "6.00")
    charge = await back.post(f"/holds/{held['id']}/capture", {"amount_usd": "2.50"})
    assert (charge["price_usd"], charge["paid_usd"], charge["written_off_usd"]) == ("2.50", "2.50", "0.00")
    assert await balance(back, account) == ("2.50", "0.00", "7.50")


async def test_capture_above_the_hold_is_paid_as_far_as_there_is_room(back: Back) -> None:
    """From what nobody holds; another's hold is never touched, the rest is written off."""
    account = await back.account("10.00")
    mine = await back.post("/holds", {"account": account, "amount_usd": "2.00"})
    other = await back.post("/holds", {"account": account, "amount_usd": "5.00"})
    charge = await back.post(f"/holds/{mine['id']}/capture", {"amount_usd": "9.00"})
    assert (charge["paid_usd"], charge["written_off_usd"]) == ("5.00", "4.00")
    assert (await back.post(f"/holds/{other['id']}/capture", {"amount_usd": "5.00"}))["paid_usd"] == "5.00"


async def test_a_capture_again_answers_as_before_and_with_another_amount_is_refused(back: Back) -> None:
    """And so is a release of what was captured, a capture of what was released."""
    account = await back.account("10.00")
    held = await back.post("/holds", {"account": account, "amount_usd": "2.00"})
    first = await back.post(f"/holds/{held['id']}/capture", {"amount_usd": "1.00"})
    assert await back.post(f"/holds/{held['id']}/capture", {"amount_usd": 1}) == first
    assert (await back.post(f"/holds/{held['id']}/capture", {"amount_usd": "1.01"}, status=409))["code"] == "hold_closed"
    assert (await back.post(f"/holds/{held['id']}/release", status=409))["code"] == "hold_closed"
    gone = await back.post("/holds", {"account": account, "amount_usd": "2.00"})
    released = await back.post(f"/holds/{gone['id']}/release")
    assert released["outcome"] == "released"
    assert await back.post(f"/holds/{gone['id']}/release") == released
    assert (await back.post(f"/holds/{gone['id']}/capture", {"amount_usd": "1.00"}, status=409))["code"] == "hold_closed"
    assert await balance(back, account) == ("1.00", "0.00", "9.00")


async def test_a_repeat_with_the_same_idempotency_key_is_the_same_hold(back: Back) -> None:
    """With other content it is an error; of another admin key it is another's. Many at once make one."""
    account = await back.account("10.00")
    body = {"account": account, "amount_usd": "2.00"}
    made = await asyncio.gather(*(back.post("/holds", body, once="job-1") for _ in range(10)))
    assert {one["id"] for one in made} == {made[0]["id"]}
    assert (await back.post("/holds", body | {"amount_usd": "2.01"}, once="job-1", status=409))["code"] == "id_conflict"
    other = await back.admin(None)
    assert (await back.post("/holds", body, once="job-1", secret=other))["id"] != made[0]["id"]
    assert await balance(back, account) == ("0.00", "4.00", "6.00")


async def test_ten_renders_on_ten_dollars_admit_six(back: Back) -> None:
    """Ten holds of $1.50 at once; those refused are told that open holds have the money."""
    account = await back.account("10.00")
    answers = await asyncio.gather(*(hold(back, account, "1.50") for _ in range(10)))
    assert sorted(status for status, _ in answers) == [201] * 6 + [429] * 4
    assert {told["code"] for status, told in answers if status != 201} == {"held"}
    assert await balance(back, account) == ("0.00", "9.00", "1.00")


async def test_twenty_holds_of_75_on_500_admit_six(back: Back) -> None:
    """All at once, on the first use of the account."""
    account = await back.account("500.00")
    answers = await asyncio.gather(*(hold(back, account, "75") for _ in range(20)))
    assert [status for status, _ in answers].count(201) == 6
    assert await balance(back, account) == ("0.00", "450.00", "50.00")


async def hold(back: Back, account: str, usd: str) -> tuple[int, Any]:
    answer = await back.http.post("/api/v1/holds", json={"account": account, "amount_usd": usd})
    return answer.status_code, answer.json()


async def test_an_account_gets_one_key_of_its_own_for_its_holds(back: Back) -> None:
    """Made on first use, however many come at once; a key like any other: it can be paused, capped, and is never usable as a secret."""
    account = await back.account("10.00", external_id="customer-7")
    held = await asyncio.gather(*(back.post("/holds", {"account": name, "amount_usd": "1"}) for name in (account, "customer-7") * 4))
    (key,) = {one["key"] for one in held}
    (shown,) = (await back.get(f"/keys?account={account}"))["data"]
    assert (shown["id"], shown["name"]) == (key, "work not proxied")
    await back.post(f"/keys/{key}/pause", {"why": "audit"})
    told = await back.post("/holds", {"account": account, "amount_usd": "1"}, status=403)
    assert told["code"] == "key_paused"
    await back.post(f"/keys/{key}/resume")
    await back.ask("PATCH", f"/keys/{key}", {"limit": "8.50"})
    assert (await back.post("/holds", {"account": account, "amount_usd": "1"}, status=429))["scope"] == key


async def test_a_revoked_house_key_is_followed_by_another(back: Back) -> None:
    """An account is not shut out for ever by the loss of a key that nobody has."""
    account = await back.account("10.00")
    first = await back.post("/holds", {"account": account, "amount_usd": "1"})
    await back.ask("DELETE", f"/keys/{first['key']}")
    second = await back.post("/holds", {"account": account, "amount_usd": "1"})
    assert second["key"] != first["key"]


async def test_a_gateway_key_holds_for_itself_and_nobody_else(back: Back) -> None:
    """Others' keys, accounts and holds do not exist for it; neither do events."""
    account = await back.account("10.00")
    key, secret = await back.key(account, "3.00")
    other, others = await back.key(account, "3.00")
    held = await back.post("/holds", {"amount_usd": "1.00"}, secret=secret)
    assert held["key"] == key
    for body in ({"key": other, "amount_usd": "1"}, {"account": account, "amount_usd": "1"}):
        await back.post("/holds", body, secret=secret, status=404)
    for action, sent in ENDINGS:
        await back.post(f"/holds/{held['id']}/{action}", sent, secret=others, status=404)
    assert (await back.post("/events", {}, secret=secret, status=403))["code"] == "gateway_key_cannot_administer"
    told = await back.post("/holds", {"amount_usd": "2.01"}, secret=secret, status=429)
    assert told["available_usd"] == "2.00"
    assert (await back.post(f"/holds/{held['id']}/capture", {"amount_usd": "0.40"}, secret=secret))["paid_usd"] == "0.40"


async def test_a_gateway_key_charges_itself_no_more_than_it_held(back: Back) -> None:
    """What is written off is the operator's loss, and counts in caps that others share: a caller may not write it."""
    account = await back.account("10.00")
    secret = (await back.post("/keys", {"account": account, "limit": 5}))["key"]
    held = await back.post("/holds", {"amount_usd": "1.00"}, secret=secret)
    refused = await back.post(f"/holds/{held['id']}/capture", {"amount_usd": "1.000000001"}, secret=secret, status=409)
    assert (refused["code"], refused["needed_usd"], refused["available_usd"]) == ("exceeds_hold", "1.000000001", "1.00")
    await back.post(f"/holds/{held['id']}/extend", {"amount_usd": "1.00"}, secret=secret)
    assert (await back.post(f"/holds/{held['id']}/capture", {"amount_usd": "1.50"}, secret=secret))["paid_usd"] == "1.50"


@pytest.mark.parametrize(("what", "body"), ENDINGS)
async def test_a_gateway_key_does_not_end_what_its_operator_held_on_it(back: Back, what: str, body: dict[str, Any]) -> None:
    """A customer who gave back the hold of a render would have it for nothing."""
    account = await back.account("10.00")
    key = await back.post("/keys", {"account": account, "limit": 5})
    held = await back.post("/holds", {"key": key["data"]["id"], "amount_usd": "2.00"})
    assert (await back.post(f"/holds/{held['id']}/{what}", body, secret=key["key"], status=404))["code"] == "not_found"
    assert (await back.post(f"/holds/{held['id']}/capture", {"amount_usd": "2.00"}))["paid_usd"] == "2.00"


async def test_an_operator_ends_what_a_gateway_key_held_for_itself(back: Back) -> None:
    """An admin key may touch every hold that is not a call's."""
    account = await back.account("10.00")
    secret = (await back.post("/keys", {"account": account, "limit": 5}))["key"]
    held = await back.post("/holds", {"amount_usd": "1.00"}, secret=secret)
    assert (await back.post(f"/holds/{held['id']}/release"))["outcome"] == "released"


async def test_nothing_new_is_held_or_charged_while_the_ledger_is_away(back: Back) -> None:
    """Nor while what happened meanwhile is not booked; a hold that is there can be ended."""
    account = await back.account("10.00")
    held = await back.post("/holds", {"account": account, "amount_usd": "1.00"})
    event = {"specversion": "1.0", "id": "1", "source": "farm", "type": "done", "subject": account, "data": {"amount_usd": "1"}}
    back.away.set()
    new = (
        ("/holds", {"account": account, "amount_usd": "1.00"}),
        (f"/holds/{held['id']}/extend", {"amount_usd": "1.00"}),
        ("/events", event),
    )
    for path, body in new:
        assert (await back.post(path, body, status=503))["code"] == "ledger_unavailable"
    assert (await back.post(f"/holds/{held['id']}/capture", {"amount_usd": "0.50"}))["paid_usd"] == "0.50"
    back.away.clear()
    assert (await back.post("/events", event))["data"][0]["status"] == "charged"
    assert await balance(back, account) == ("1.50", "0.00", "8.50")


async def test_a_hold_that_nobody_heard_of_is_given_back_unless_it_can_be_asked_for_again(back: Back) -> None:
    """The ledger was lost: a hold with an Idempotency-Key is asked for again by whoever wants it."""
    account = await back.account("10.00")
    key, _ = await back.key(account, "3.00")
    unheard: list[Authorize] = []
    office = Office(msgspec.structs.replace(back.context, unheard=unheard.append))
    back.control._unproxied = Unproxied(office)
    held = await back.post("/holds", {"key": key, "amount_usd": "1.00"})
    back.batcher.close()
    for once in ({}, {"once": "job-1"}):
        told = await back.post("/holds", {"key": key, "amount_usd": "1.00"}, status=503, **once)
        assert told["code"] == "ledger_unavailable"
    assert (await back.post(f"/holds/{held['id']}/capture", {"amount_usd": "1.00"}, status=503))["code"] == "ledger_unavailable"
    assert [(one.gate.key.id, one.idempotency) for one in unheard] == [(key, None)]
    office.close()


async def test_a_meter_that_is_priced_later_counts_for_a_payer_who_is_known(back: Back) -> None:
    """A refusal is only given on what the ledger has now."""
    account = await back.account("10.00")
    await back.post("/holds", {"account": account, "amount_usd": "1.00"})
    asked = {"account": account, "meter": "gpu second", "quantity": "2"}
    assert (await back.post("/holds", asked, status=422))["code"] == "unknown_meter"
    await back.ask("PUT", "/prices/meters/gpu%20second", {"price_usd": "0.50"}, status=201)
    assert (await back.post("/holds", asked))["amount_usd"] == "1.00"


async def test_one_piece_of_work_has_a_most_whatever_it_is_measured_in(back: Back) -> None:
    """Sums over many of them stay numbers that the ledger can keep."""
    account = await back.account("10.00")
    await back.ask("PUT", "/prices/meters/gold", {"price_usd": "1000"}, status=201)
    held = await back.post("/holds", {"account": account, "meter": "gold", "quantity": "0.001"})
    for quantity in ("1000.1", "1000000000000"):
        assert (await back.post("/holds", {"account": account, "meter": "gold", "quantity": quantity}, status=422))[
            "code"
        ] == "invalid_request"
        assert (await back.post(f"/holds/{held['id']}/capture", {"quantity": quantity}, status=422))["code"] == "invalid_request"


async def test_an_admin_key_of_one_account_touches_nothing_beyond_it(back: Back) -> None:
    """Neither payers nor holds, whether this process made them or another did."""
    mine, other = await back.account("10.00"), await back.account("10.00")
    secret = await back.admin(mine)
    held = await back.post("/holds", {"account": other, "amount_usd": "1"})
    await back.post("/holds", {"account": other, "amount_usd": "1"}, secret=secret, status=422)
    for action, sent in ENDINGS:
        await back.post(f"/holds/{held['id']}/{action}", sent, secret=secret, status=404)
    assert (await back.post("/holds", {"account": mine, "amount_usd": "1"}, secret=secret))["account"] == mine


async def test_a_hold_of_a_call_is_not_touched_here(back: Back) -> None:
    """What a gateway set aside for a provider is that call's alone."""
    account = await back.account("10.00")
    key, _ = await back.key(account, "3.00")
    held = await back.hold(key, 1_000_000)
    assert held is not None
    for action, sent in ENDINGS:
        await back.post(f"/holds/{held.id}/{action}", sent, status=404)
    await back.charge(held, 1_000)


async def test_extend_adds_money_and_time_under_the_limits_of_now(back: Back) -> None:
    """All or none; a repeat by its Idempotency-Key adds nothing."""
    account = await back.account("10.00")
    held = await back.post("/holds", {"account": account, "amount_usd": "2", "lifetime_s": 60})
    grown = await back.post(f"/holds/{held['id']}/extend", {"amount_usd": "3", "lifetime_s": 600}, once="more")
    assert (grown["amount_usd"], grown["deadline"] > held["deadline"]) == ("5.00", True)
    again = await back.post(f"/holds/{held['id']}/extend", {"amount_usd": "3", "lifetime_s": 600}, once="more")
    assert again["amount_usd"] == "5.00"
    told = await back.post(f"/holds/{held['id']}/extend", {"amount_usd": "5.01"}, status=402)
    assert (told["code"], told["available_usd"]) == ("exceeds_available", "5.00")
    later = await back.post(f"/holds/{held['id']}/extend", {"lifetime_s": 3600})
    assert (later["amount_usd"], later["deadline"] > grown["deadline"]) == ("5.00", True)


async def test_a_meter_is_held_and_charged_at_the_price_of_its_hold(back: Back) -> None:
    """Exact to the nano-dollar; a new price counts for new holds alone, also for whoever reads the old one from the store."""
    await back.post("/prices/import", {"csv": METERS, "accept": True})
    account = await back.account("10.00")
    held = await back.post("/holds", {"account": account, "meter": "render minute", "quantity": "12.5"})
    assert (held["amount_usd"], held["model"]) == ("0.25", "render minute")
    await back.post("/prices/import", {"csv": METERS.replace("0.02", "0.05"), "accept": True})
    newer = await back.post("/holds", {"account": account, "meter": "render minute", "quantity": "1"})
    assert newer["amount_usd"] == "0.05"
    back.control._unproxied._holds._held.clear()
    charge = await back.post(f"/holds/{held['id']}/capture", {"quantity": "10.000001"})
    assert charge["price_usd"] == "0.20000002"
    (line,) = (await back.get(f"/charges/{held['id']}"))["lines"]
    assert (line["unit"], line["quantity"], line["usd"]) == ("millionths", 10_000_001, "0.20000002")
    usage = await back.get("/usage?by=model")
    assert [(row["model"], row["price_usd"]) for row in usage["data"]] == [("own/render minute", "0.20000002")]


async def test_a_meters_next_price_begins_where_the_one_before_ends(back: Back) -> None:
    """The first held always; a repeat by its Idempotency-Key sets nothing again; a jump must be accepted; an account may have its own."""
    put = f"/prices/meters/{quote('render minute, large')}"
    await back.ask("PUT", put, {"price_usd": "0.02", "accept": True}, once="first")
    await back.ask("PUT", put, {"price_usd": "0.03"}, once="second")
    await back.ask("PUT", put, {"price_usd": "0.03"}, once="second")
    assert (await back.ask("PUT", put, {"price_usd": "0.30"}, status=409))["code"] == "needs_acceptance"
    await back.ask("PUT", put, {"price_usd": "0.0000001"}, status=422)
    first, second = (await back.http.get("/api/v1/prices?format=csv&provider=own")).text.splitlines()[1:]
    assert first.startswith('own,"render minute, large",millionths,0.02,1000000,')
    assert first.split(",")[-3] == second.split(",")[-4] != ""
    account = await back.account("10.00", markup_basis_points=1000)
    assert (await held_minute(back, account)) == "0.033"
    await back.ask("PUT", put, {"price_usd": "0.01", "scope": account, "accept_loss": True})
    assert (await held_minute(back, account)) == "0.01"


async def held_minute(back: Back, account: str) -> str:
    made = await back.post("/holds", {"account": account, "meter": "render minute, large", "quantity": 1})
    return str(made["amount_usd"])


async def test_a_quantity_without_a_meter_is_no_capture(back: Back) -> None:
    """Nor is a meter without a price, an amount beside a meter, or no word of what it came to."""
    account = await back.account("10.00")
    held = await back.post("/holds", {"account": account, "amount_usd": "1"})
    for worth in ({"quantity": "1"}, {}, {"quantity": "1", "amount_usd": "1"}, {"amount_usd": "1e999999"}, {"amount_usd": "-1"}):
        await back.post(f"/holds/{held['id']}/capture", worth, status=422)
    told = await back.post("/holds", {"account": account, "meter": "no such meter", "quantity": "1"}, status=422)
    assert told["code"] == "unknown_meter"
    bodies: tuple[dict[str, Any], ...] = (
        {"account": account},
        {"account": account, "amount_usd": "0"},
        {"account": account, "amount_usd": "1", "meter": "m", "quantity": 1},
        {"account": account, "meter": "m", "quantity": "0.0000001"},
        {"amount_usd": "1"},
        {"account": account, "amount_usd": "1", "lifetime_s": 0},
        {"account": account, "amount_usd": "1", "lifetime_s": 604_801},
        {"account": account, "amount_usd": "1000000.01"},
        {"account": account, "key": "key_x", "amount_usd": "1"},
    )
    for body in bodies:
        await back.post("/holds", body, status=422)
    assert await balance(back, account) == ("0.00", "1.00", "9.00")


@pytest.mark.parametrize(("path", "status"), [("/holds/x/explode", 404), ("/holds/x", 404), ("/holds//capture", 404)])
async def test_what_is_no_route_is_not_found(back: Back, path: str, status: int) -> None:
    """In the words of the control API."""
    await back.post(path, {}, status=status)


async def test_other_methods_are_told_which_there_are(back: Back) -> None:
    """For the routes without a framework as for the others."""
    answer = await back.http.put("/api/v1/holds", json={})
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")
    answer = await back.http.get("/api/v1/holds/x/capture")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_a_lease_outlives_sweeper_and_process_until_its_deadline(tmp_path: Path) -> None:
    """Fifteen minutes: another process finds it open, ends it only then, whole and provisionally; the truth that comes later corrects it, once."""
    late = [0]

    def clock() -> int:
        return wall_clock() + late[0]

    async with open_back(tmp_path, clock=clock) as back:
        account = await back.account("10.00")
        kept = await back.post("/holds", {"account": account, "amount_usd": "1.50"})
        lost = await back.post("/holds", {"account": account, "amount_usd": "2.50"})
    async with open_back(tmp_path, clock=clock, admin_key="an-admin-key-of-a-test") as back:
        sweeper = Sweeper(back.context.store, back.batcher, owner="proc_next", clock=clock, alarm=quietly, replay_kept_s=60)
        assert await sweeper.begin() == 0
        late[0] = 14 * US_PER_MINUTE
        await sweeper.sweep()
        assert await balance(back, account) == ("0.00", "4.00", "6.00")
        assert (await back.post(f"/holds/{kept['id']}/capture", {"amount_usd": "1.23"}))["paid_usd"] == "1.23"
        late[0] = 15 * US_PER_MINUTE + 10 * US_PER_S
        await sweeper.sweep()
        assert await balance(back, account) == ("3.73", "0.00", "6.27")
        revised = await back.post(f"/holds/{lost['id']}/capture", {"amount_usd": "1.00"})
        assert (revised["revised"], revised["paid_usd"]) == (True, "1.00")
        assert await back.post(f"/holds/{lost['id']}/capture", {"amount_usd": "1.00"}) == revised
        await back.post(f"/holds/{lost['id']}/capture", {"amount_usd": "2.00"}, status=409)
        assert await balance(back, account) == ("2.23", "0.00", "7.77")
        sweeper.close()
