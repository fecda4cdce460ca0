"""What a provider reports: nothing, nonsense, zero, more than the cap, no answer at all. What is charged then is policy, and covers the bill."""

import asyncio
from typing import Any

import pytest

from e2e.wire import ENDS
from farebox.ledger.model import Charge
from support.house import House, until

DIALECTS = ("openai", "anthropic")


async def _one(house: House, **agree: Any) -> Charge:
    await house.settled()
    await until(house.charges)
    (charge,) = await house.agree(**agree)
    return charge


async def _last(house: House) -> tuple[Charge, int]:
    """The charge that was made last, and what had been held for it."""
    await house.settled()
    charge = house.charges()[-1]
    return charge, house.rows("SELECT amount FROM holds WHERE id = ?", charge.hold_id)[0][0]


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_report_that_is_none_is_charged_by_policy(house: House, dialect: str) -> None:
    """Where all output shows: the bound of the input and a token for each byte; where some can hide: the hold. Never less than the bill."""
    call, secret = house.chat if dialect == "openai" else house.messages, await house.customer()
    for usage in ("missing", "partial", "negative"):
        for stream in (False, True):
            answer = await call(secret, f"hi sim:output=50 sim:usage={usage}", max_tokens=400, stream=stream)
            assert answer.status_code == 200
            assert answer.content.endswith(ENDS[dialect]) or not stream
            charge, hold = await _last(house)
            assert charge.completeness == ("estimated" if dialect == "openai" else "unknown")
            assert (charge.price < hold) if dialect == "openai" else (charge.price == hold)
            assert "absurd_usage" in charge.flags or usage != "negative"
    charges = await house.agree()
    assert house.books()["spent"] == sum(charge.price for charge in charges), "a negative report refills nothing"


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_an_explicit_zero_stays_zero(house: House, dialect: str) -> None:
    """A provider that says it billed nothing is taken at its word."""
    call, secret = house.chat if dialect == "openai" else house.messages, await house.customer()
    for stream in (False, True):
        assert (await call(secret, "hi sim:bill=free sim:usage=zero", stream=stream)).status_code == 200
        charge, _ = await _last(house)
        assert (charge.price, charge.completeness, charge.outcome) == (0, "exact", "answered")
    await house.agree(but=("free",))


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_provider_that_ignores_the_cap_is_paid_to_the_keys_cap_and_no_further(house: House, *, stream: bool) -> None:
    """$1 key on a $100 wallet, the provider bills $3: $1 is paid, $2 written off; the wallet's other $99 are nobody's to take."""
    secret = await house.customer("100.00", "1.00")
    words = "hi sim:output=300000 sim:ignore_cap=1"
    answer = await house.chat(secret, words, model="gpt-4o", service_tier="default", max_tokens=60_000, stream=stream)
    assert answer.status_code == 200
    charge = await _one(house)
    assert 3_000_000_000 < charge.price < 3_001_000_000
    assert (charge.paid, charge.written_off) == (1_000_000_000, charge.price - 1_000_000_000)
    assert house.books()["spent"] == 1_000_000_000
    assert (await house.chat(secret)).status_code == 402


async def test_overage_leaves_the_holds_of_siblings_alone(house: House) -> None:
    """Two calls on one wallet: what one bills above its hold is never taken from what is set aside for the other."""
    account = await house.account("1.00")
    first, second = await house.key(account, None), await house.key(account, None)
    slow = asyncio.ensure_future(
        house.chat(first, "hi sim:delay=500 sim:output=20000", model="gpt-4o", service_tier="default", max_tokens=20_000)
    )
    await until(lambda: house.books()["held"])
    over = await house.chat(second, "hi sim:output=300000 sim:ignore_cap=1", model="gpt-4o", service_tier="default", max_tokens=60_000)
    assert over.status_code == 200
    assert (await slow).status_code == 200
    charges = {charge.tokens > 100_000: charge for charge in await house.agree()}
    assert charges[False].written_off == 0
    assert charges[True].written_off > 2_000_000_000
    assert sum(charge.paid for charge in charges.values()) <= 1_000_000_000


async def test_a_report_beyond_all_reason_is_charged_the_hold(house: House) -> None:
    """More than ten times what the call could cost is no usage but a fault: the hold is charged, and the flag raises an alarm."""
    secret = await house.customer("100.00", None)
    answer = await house.chat(secret, "hi sim:bill=absurd sim:output=100000 sim:ignore_cap=1", max_tokens=300)
    assert answer.status_code == 200
    charge = await _one(house, but=("absurd",))
    assert charge.completeness in ("unknown", "estimated")
    assert "absurd_usage" in charge.flags
    assert charge.price == house.rows("SELECT amount FROM holds")[0][0]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_garbage_instead_of_an_answer_is_told_and_covered(house: House, dialect: str, *, stream: bool) -> None:
    """502 in the caller's words, a status even where a stream was asked for, not to be retried, because the call may have been billed;
    and it is charged the hold for that reason.
    """
    call, secret = house.chat if dialect == "openai" else house.messages, await house.customer()
    for garbage in ("html", "gzip", "nothing", *(() if stream else ("badjson", "badlength"))):
        answer = await call(secret, f"hi sim:output=300 sim:garbage={garbage}", max_tokens=400, stream=stream)
        assert (answer.status_code, answer.headers["x-farebox-reason"]) == (502, "upstream_bad_response"), garbage
        assert answer.headers["x-should-retry"] == "false"
        assert "was charged" in answer.json()["error"]["message"]
        charge, hold = await _last(house)
        assert charge.price == hold
    assert sum(charge.price for charge in house.charges()) >= sum(int(row["nano"]) for row in await house.sim_calls())
