"""The end of an answer is seen when its charge is durable, and not before."""

from typing import Any

import pytest

from e2e.refusals import ledger_down
from e2e.wire import ENDS, dial
from farebox.ledger.model import Charge
from support.house import House, until

DIALECTS = ("openai", "anthropic")


async def _one(house: House, **agree: Any) -> Charge:
    await house.settled()
    await until(house.charges)
    (charge,) = await house.agree(**agree)
    return charge


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_the_end_is_withheld_until_the_charge_is_durable(house: House, dialect: str) -> None:
    """With the ledger's thread occupied the client has all of the text and not the end; when it has the end, the charge is on record."""
    async with await dial(house) as wire:
        await wire.ask(await house.customer(), "hi sim:output=8 sim:pace=20", dialect, stream=True)
        await wire.until(b" fare")
        async with house.ledger_occupied():
            await wire.until(b" pass")
            await until(lambda: house.running.batcher.waiting)
            assert house.charges() == []
            for word in (b'finish_reason":"', b'stop_reason":"', b"[DONE]", b"message_stop", b"message_delta"):
                assert word not in wire.arrived()
        await wire.until(ENDS[dialect])
        assert [charge.completeness for charge in house.charges()] == ["exact"]
    await house.agree()


async def test_a_whole_answer_is_withheld_until_the_charge_is_durable(house: House) -> None:
    """Not a byte before."""
    async with await dial(house) as wire:
        await wire.ask(await house.customer(), "hi sim:delay=100")
        await until(lambda: house.books()["held"])
        async with house.ledger_occupied():
            await until(lambda: house.running.batcher.waiting)
            assert house.charges() == []
            assert wire.arrived() == b""
        await wire.until(b"This is a simulated answer")
        assert len(house.charges()) == 1


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_ledger_lost_at_the_end_costs_neither_the_answer_nor_the_charge(house: House, *, stream: bool) -> None:
    """What it came to is on this machine's disk, so the client gets the end; what it cost is booked, exactly, as soon as the ledger is back."""
    secret = await house.customer()
    async with await dial(house) as wire:
        await wire.ask(secret, "hi sim:delay=150 sim:output=5", stream=stream)
        await until(lambda: house.books()["held"])
        up_again = await ledger_down(house)
        seen = await wire.until(b"[DONE]" if stream else b'"usage"')
        assert b" 200 " in seen
        assert b"x-farebox-cost" not in seen, "nobody knows yet what the ledger makes of it"
        assert house.charges() == []
        assert house.running.outage.records == 1
        await up_again()
    charge = await _one(house)
    assert charge.completeness == "exact"
    assert house.running.outage.records == 0


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_where_neither_ledger_nor_journal_can_be_written_the_answer_does_not_end(house: House, *, stream: bool) -> None:
    """The client is told not to repeat it, and the hold stays; as soon as the ledger is back the call is charged, exactly."""
    secret = await house.customer()
    (journal,) = house.running.settings.data_dir.glob("captures-*.journal")
    journal.unlink()
    async with await dial(house) as wire:
        await wire.ask(secret, "hi sim:delay=150 sim:output=5", stream=stream)
        await until(lambda: house.books()["held"])
        up_again = await ledger_down(house)
        seen = await wire.until(b"0\r\n\r\n" if stream else b"do not repeat it")
        assert b"do not repeat it" in seen
        assert stream or b"x-should-retry: false" in seen
        assert b"[DONE]" not in seen
        assert house.charges() == []
        assert house.books()["held"]
        await up_again()
    charge = await _one(house)
    assert charge.completeness == "exact"
