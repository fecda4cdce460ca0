"""Events: work that is done, told of afterwards. Charged once, at its own time, from today's wallet."""

import asyncio
from typing import Any

import pytest

from control.back import Back, open_back
from farebox.clock import US_PER_DAY, US_PER_MINUTE, from_rfc3339, to_rfc3339, wall_clock

PRICES = """provider,model,unit,usd,per,valid_from,valid_to
own,render minute,millionths,0.02,1000000,,{turn}
own,render minute,millionths,0.05,1000000,{turn},
"""


def event(subject: str, name: str = "1", *, source: str = "renderer", ago_us: int | None = None, **data: Any) -> dict[str, Any]:
    made = {"specversion": "1.0", "id": name, "source": source, "type": "work.done", "subject": subject, "data": data}
    return made if ago_us is None else made | {"time": to_rfc3339(wall_clock() - ago_us)}


async def available(back: Back, account: str) -> str:
    told = await back.get(f"/accounts/{account}/balance")
    assert told["held"] == "0.00"
    return str(told["available"])


async def test_the_same_event_a_hundred_times_at_once_is_one_charge(back: Back) -> None:
    """Every sender learns of the same charge, and the balance read right after shows it."""
    account = await back.account("10.00")

    async def send() -> tuple[str, str, str]:
        (told,) = (await back.post("/events", event(account, amount_usd="1.25")))["data"]
        return told["status"], told["charge"]["id"], await available(back, account)

    answers = await asyncio.gather(*(send() for _ in range(100)))
    assert sorted(status for status, _, _ in answers) == ["charged"] + ["repeated"] * 99
    assert {one[1:] for one in answers} == {(answers[0][1], "8.75")}
    assert len((await back.get("/charges"))["data"]) == 1


async def test_the_same_event_with_other_content_is_a_conflict_without_effect(back: Back) -> None:
    """How it is written and its extensions are not its content."""
    account = await back.account("10.00")
    first = event(account, amount_usd="1.25", tags={"team": "a"})
    await back.post("/events", first)
    again = {**first, "data": {"tags": {"team": "a"}, "amount_usd": 1.25}, "traceparent": "00-1-2-01"}
    assert (await back.post("/events", again))["data"][0]["status"] == "repeated"
    told = await back.post("/events", event(account, amount_usd="1.26", tags={"team": "a"}), status=409)
    assert told["code"] == "event_conflict"
    other = await back.post("/events", event(account, amount_usd="1.26", source="another"))
    assert other["data"][0]["status"] == "charged"
    assert await available(back, account) == "7.49"


async def test_an_event_is_priced_and_counted_at_its_time_and_drawn_from_todays_wallet(back: Back) -> None:
    """Ten days late: the old price, the day window of that day, marked late, shown in usage of that time."""
    turn = to_rfc3339(wall_clock() - 5 * US_PER_DAY)
    await back.post("/prices/import", {"csv": PRICES.format(turn=turn), "accept": True})
    account = await back.account("10.00")
    key, _ = await back.key(account, "5.00", limit_reset="daily")
    sent = event(key, ago_us=10 * US_PER_DAY, meter="render minute", quantity="100", user="ada", run="r1", tags={"team": "a"})
    (told,) = (await back.post("/events", sent))["data"]
    assert (told["charge"]["price_usd"], told["charge"]["late"]) == ("2.00", True)
    (now,) = (await back.post("/events", event(key, "2", meter="render minute", quantity="100")))["data"]
    assert (now["charge"]["price_usd"], now["charge"]["late"]) == ("5.00", False)
    assert await available(back, account) == "3.00"
    shown = await back.get(f"/charges/{told['charge']['id']}")
    assert (shown["flags"], shown["user"], shown["tags"]) == (["late"], "ada", {"team": "a"})
    assert abs(from_rfc3339(shown["created_at"]) - from_rfc3339(sent["time"])) == 0
    day = sent["time"][:10]
    usage = await back.get(f"/usage?from={day}T00:00:00Z&to={day}T23:59:59Z&by=model")
    assert [(row["model"], row["price_usd"]) for row in usage["data"]] == [("own/render minute", "2.00")]


async def test_an_event_beyond_its_day_is_refused_for_ever(back: Back) -> None:
    """Too old, or in the future; a clock a little ahead is now."""
    account = await back.account("10.00")
    old = event(account, "old", ago_us=36 * US_PER_DAY, amount_usd="1")
    ahead = event(account, "ahead", ago_us=-6 * US_PER_MINUTE, amount_usd="1")
    for one, code in ((old, "event_too_old"), (ahead, "event_in_future")):
        assert (await back.post("/events", one, status=422))["code"] == code
        assert (await back.post("/events", one, status=422))["code"] == code
    (told,) = (await back.post("/events", event(account, "near", ago_us=-4 * US_PER_MINUTE, amount_usd="1")))["data"]
    assert (told["status"], told["charge"]["late"]) == ("charged", False)
    (told,) = (await back.post("/events", event(account, "late", ago_us=34 * US_PER_DAY, amount_usd="1")))["data"]
    assert told["charge"]["late"]
    assert await available(back, account) == "8.00"


async def test_a_source_says_what_becomes_of_an_event_that_is_not_covered(tmp_path: Any) -> None:
    """Refused, and so for ever, though money comes; or charged whole, with what is missing written off."""
    rules = {"events": {"sources": {"meter-7": {"when_short": "write_off"}}}}
    async with open_back(tmp_path, rules) as back:
        account = await back.account("1.00")
        told = await back.post("/events", event(account, amount_usd="1.50"), status=402)
        assert (told["code"], told["available_usd"]) == ("exceeds_available", "1.00")
        await back.post(f"/accounts/{account}/grants", {"amount_usd": "1.00"})
        await back.post("/events", event(account, amount_usd="1.50"), status=402)
        (told,) = (await back.post("/events", event(account, source="meter-7", amount_usd="2.50")))["data"]
        assert told["charge"] | {"id": ""} == {"id": "", "price_usd": "2.50", "paid_usd": "2.00", "written_off_usd": "0.50", "late": False}
        balance = await back.get(f"/accounts/{account}/balance")
        assert (balance["available"], balance["written_off"]) == ("0.00", "0.50")


async def test_a_written_off_event_is_paid_no_further_than_its_keys_cap(tmp_path: Any) -> None:
    """The wallet has more; the cap of the day it happened on decides."""
    async with open_back(tmp_path, {"events": {"when_short": "write_off"}}) as back:
        account = await back.account("100.00")
        key, _ = await back.key(account, "1.00", limit_reset="daily")
        (first,) = (await back.post("/events", event(key, ago_us=3 * US_PER_DAY, amount_usd="3.00")))["data"]
        assert (first["charge"]["paid_usd"], first["charge"]["written_off_usd"]) == ("1.00", "2.00")
        (second,) = (await back.post("/events", event(key, "2", amount_usd="3.00")))["data"]
        assert (second["charge"]["paid_usd"], second["charge"]["written_off_usd"]) == ("1.00", "2.00")
        assert await available(back, account) == "98.00"


async def test_a_key_that_was_stopped_is_charged_for_what_was_done_before(back: Back) -> None:
    """Not for what was done after."""
    account = await back.account("10.00")
    key, _ = await back.key(account, "5.00")
    await back.post(f"/keys/{key}/pause", {"why": "audit"})
    assert (await back.post("/events", event(key, amount_usd="1"), status=403))["code"] == "key_paused"
    (told,) = (await back.post("/events", event(key, "2", ago_us=US_PER_MINUTE, amount_usd="1")))["data"]
    assert told["status"] == "charged"


async def test_a_batch_answers_each_event(back: Back) -> None:
    """In their order; what is wrong with one stops no other. Sent again, nothing more is charged."""
    account = await back.account("10.00", external_id="customer-9")
    batch = [
        event("customer-9", "a", amount_usd="1"),
        event(account, "b", amount_usd="1"),
        event(account, "a", amount_usd="1"),
        event("nobody", "c", amount_usd="1"),
        event(account, "d", amount_usd="100"),
        event(account, "e", meter="no such meter", quantity=1),
        {"id": "f", "source": "renderer"},
        "no event",
    ]
    kind = {"content-type": "application/cloudevents-batch+json"}
    first = (await back.post("/events", batch, headers=kind))["data"]
    assert [one["status"] for one in first] == ["charged", "charged", "conflict", "invalid", "refused", "invalid", "invalid", "invalid"]
    assert [one["reason"] and one["reason"]["code"] for one in first[3:]] == [
        "unknown_payer",
        "exceeds_available",
        "unknown_meter",
        "invalid_event",
        "invalid_event",
    ]
    again = (await back.post("/events", batch, headers=kind))["data"]
    assert [one["status"] for one in again[:5]] == ["repeated", "repeated", "conflict", "invalid", "refused"]
    assert await available(back, account) == "8.00"


@pytest.mark.parametrize("count", [0, 1001])
async def test_a_batch_has_a_limit(back: Back, count: int) -> None:
    """From one to a thousand events."""
    await back.post("/events", [event("x", str(number), amount_usd="1") for number in range(count)], status=422)


async def test_an_admin_key_of_one_account_tells_only_of_it(back: Back) -> None:
    """An event is known by its source and id whoever tells of it: told again by another it is the same one, of another payer it is an error."""
    mine, other = await back.account("10.00"), await back.account("10.00")
    secret = await back.admin(mine)
    await back.post("/events", event(other, amount_usd="1"), secret=secret, status=422)
    assert (await back.post("/events", event(mine, amount_usd="1"), secret=secret))["data"][0]["status"] == "charged"
    assert (await back.post("/events", event(mine, amount_usd="1")))["data"][0]["status"] == "repeated"
    assert (await back.post("/events", event(other, amount_usd="1"), status=409))["code"] == "event_conflict"
