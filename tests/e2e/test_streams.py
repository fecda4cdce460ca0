"""What can happen to an answer on its way: clients that leave or stall, providers that break, lie or ignore the cap. All ends in one charge."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from e2e.wire import MODELS, dial
from farebox import limits
from farebox.gateway import flights
from farebox.ledger.model import Charge
from support.house import House, open_house, until

DIALECTS = ("openai", "anthropic")


@pytest.fixture(autouse=True)
def looking_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """The look around that enforces what takes too long, often enough for a test."""
    monkeypatch.setattr(flights, "_EVERY_S", 0.02)


async def _one(house: House, **agree: Any) -> Charge:
    await house.settled()
    await until(house.charges)
    (charge,) = await house.agree(**agree)
    return charge


# --- the client leaves -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_leaving_at_byte_zero_is_charged_the_providers_bill(house: House, dialect: str, *, stream: bool) -> None:
    """Neither free nor the worst case: the answer is read to its end all the same, and charged exactly."""
    wire = await dial(house)
    await wire.ask(await house.customer(), "hi sim:output=40 sim:delay=100", dialect, stream=stream)
    await until(lambda: house.books()["held"])
    wire.leave()
    charge = await _one(house)
    assert charge.completeness == "exact"
    assert (await house.sim_calls())[0]["finished"]


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_leaving_in_the_middle_is_charged_the_providers_bill(house: House, dialect: str) -> None:
    """The rest is read on in the client's absence."""
    wire = await dial(house)
    await wire.ask(await house.customer(), "hi sim:output=40 sim:pace=5", dialect, stream=True)
    await wire.until(b" coin")
    wire.leave()
    charge = await _one(house)
    assert charge.completeness == "exact"
    assert (await house.sim_calls())[0]["tokens"]["output"] == 40
    assert house.running.flights.drained_total == 1


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_leaving_after_the_last_delta_is_charged_the_providers_bill(house: House, dialect: str) -> None:
    """The moment in which everything was delivered and nothing was paid: it is withheld until the charge, which is exact."""
    wire = await dial(house)
    await wire.ask(await house.customer(), "hi sim:output=8 sim:pace=20", dialect, stream=True)
    await wire.until(b" fare")
    async with house.ledger_occupied():
        await wire.until(b" pass")
        wire.leave()
        await until(lambda: house.running.batcher.waiting)
    assert (await _one(house)).completeness == "exact"


async def test_leaving_a_whole_answer_is_charged_the_providers_bill(house: House) -> None:
    """There is no stream to notice it in, and it makes no difference."""
    wire = await dial(house)
    await wire.ask(await house.customer(), "hi sim:output=60 sim:delay=150")
    await until(lambda: house.books()["held"])
    wire.leave()
    await until(lambda: house.running.flights.drained_total)
    assert (await _one(house)).completeness == "exact"


async def test_drains_of_one_key_are_bounded(tmp_path: Path) -> None:
    """A key that opens streams and leaves gets so many read on; the rest is cut, and charged the hold."""
    async with open_house(tmp_path, {"limits": {"drains_per_key_max": 2}}) as house:
        secret, other = await house.customer("50.00", None), await house.customer("50.00", None)
        wires = [await dial(house) for _ in range(8)]
        for index, wire in enumerate(wires):
            await wire.ask(secret if index < 6 else other, "hi sim:output=60 sim:pace=15", max_tokens=100, stream=True)
        for wire in wires:
            await wire.until(b" fare")
        for wire in wires:
            wire.leave()
        await until(lambda: house.running.flights.draining)
        assert house.running.flights.draining <= 4
        await house.settled()
        charges = await house.agree()
    outcomes = sorted(charge.outcome for charge in charges)
    assert outcomes == ["answered"] * 4 + ["drain_refused"] * 4
    assert all(charge.completeness == ("exact" if charge.outcome == "answered" else "unknown") for charge in charges)


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_drains_of_the_process_are_bounded(tmp_path: Path, dialect: str) -> None:
    """Across all keys."""
    async with open_house(tmp_path, {"limits": {"drains_max": 1}}) as house:
        wires = [await dial(house) for _ in range(3)]
        for wire in wires:
            await wire.ask(await house.customer(), "hi sim:output=50 sim:pace=10", dialect, stream=True)
            await wire.until(b" fare")
        for wire in wires:
            wire.leave()
        await house.settled()
        charges = await house.agree()
    assert sorted(charge.outcome for charge in charges) == ["answered", "drain_refused", "drain_refused"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_drain_ends_in_time(tmp_path: Path, *, stream: bool) -> None:
    """A provider that goes on and on is cut, streamed or not, and the call is charged the hold."""
    async with open_house(tmp_path, {"limits": {"drain_s_max": 1}}) as house:
        wire = await dial(house)
        await wire.ask(await house.customer(), "hi sim:output=90 sim:delay=20000", max_tokens=100, stream=stream)
        await until(lambda: house.books()["held"])
        wire.leave()
        await until(house.charges)
        (charge,) = house.charges()
        assert (charge.outcome, charge.completeness) == ("drain_cut", "unknown")
        assert charge.price == house.rows("SELECT amount FROM holds")[0][0]
        await house.settled()
        assert charge.price >= int((await house.sim_calls())[0]["nano"])


async def test_a_whole_answer_that_may_not_be_drained_is_cut(tmp_path: Path) -> None:
    """Drains are bounded for calls that are not streamed, too."""
    async with open_house(tmp_path, {"limits": {"drains_per_key_max": 0}}) as house:
        wire = await dial(house)
        await wire.ask(await house.customer(), "hi sim:delay=20000")
        await until(lambda: house.books()["held"])
        wire.leave()
        await until(house.charges)
        assert house.charges()[0].outcome == "drain_refused"


@pytest.mark.parametrize("stops", [False, True], ids=["bills_on", "stops_billing"])
async def test_a_provider_that_is_not_drained_is_charged_the_hold_unless_it_stops_billing(tmp_path: Path, *, stops: bool) -> None:
    """`on_disconnect = cancel`: what may be billed unseen is charged whole; what is known to stop is charged as delivered."""
    provider = {"on_disconnect": "cancel", "stops_billing_on_cancel": stops}
    async with open_house(tmp_path, {"providers": {"openai": provider}}) as house:
        wire = await dial(house)
        words = "sim:on_abort=bill_sent" if stops else "sim:on_abort=bill_all"
        await wire.ask(await house.customer(), f"hi sim:output=2000 sim:pace=5 {words}", max_tokens=2000, stream=True)
        await wire.until(b" coin")
        wire.leave()
        charge = await _one(house)
        hold = house.rows("SELECT amount FROM holds")[0][0]
    assert charge.outcome == "not_drained"
    assert charge.completeness == ("estimated" if stops else "unknown")
    assert (charge.price < hold) if stops else (charge.price == hold)


async def test_many_streams_opened_and_left_are_all_paid_for(tmp_path: Path) -> None:
    """The free lunch that is none: what the provider billed is covered, call by call, and never more is read on than the limit says."""
    async with open_house(tmp_path, {"limits": {"drains_per_key_max": 10, "drains_max": 10}}) as house:
        secret = await house.customer("100.00", None)
        most = 0

        async def visit() -> None:
            nonlocal most
            wire = await dial(house)
            await wire.ask(secret, "hi sim:output=100 sim:pace=2", max_tokens=100, stream=True)
            await wire.until(b" fare")
            wire.leave()
            most = max(most, house.running.flights.draining)

        for _ in range(4):
            await asyncio.gather(*(visit() for _ in range(40)))
        charges = await house.agree()
        bill = sum(int(row["nano"]) for row in await house.sim_calls())
    assert len(charges) == 160
    assert most <= 10
    assert bill <= sum(charge.paid + charge.written_off for charge in charges)


# --- the client stalls -----------------------------------------------------------------------------------------------------------


async def test_a_client_that_does_not_read_is_bounded_and_bothers_nobody(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The provider is made to wait, so nothing piles up; others are served; after a while the client is dropped, and all is charged."""
    monkeypatch.setattr(limits, "client_stall_s_max", 0.5)
    secret = await house.customer("90.00", None)
    wire = await dial(house, limit=1024)
    await wire.ask(secret, "hi sim:output=400000", max_tokens=400_000, n=8, stream=True)
    await wire.until(b" fare")
    (flight,) = house.running.flights._all
    await until(lambda: flight.answer is not None and flight.answer.buffered_bytes > limits.upstream_buffer_bytes_max)
    assert (await house.chat(secret)).status_code == 200
    assert flight.answer is not None
    assert flight.answer.buffered_bytes < limits.upstream_buffer_bytes_max + limits.MIB
    await house.settled()
    charges = await house.agree()
    assert [charge.completeness for charge in charges] == ["exact", "exact"]
    assert house.running.flights.drained_total == 1


async def test_a_client_that_stalls_in_a_whole_answer_is_dropped(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was charged before a byte was sent; its connection does not stay for ever."""
    monkeypatch.setattr(limits, "client_stall_s_max", 0.1)
    wire = await dial(house, limit=1024)
    await wire.ask(await house.customer("90.00", None), "hi sim:output=400000", max_tokens=400_000, n=8)
    assert (await _one(house)).completeness == "exact"
    await until(lambda: not house.connections())
    head, _, body = (await wire.rest()).partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    assert len(body) < length, "it was dropped before it had taken the whole"


# --- the provider breaks ------------------------------------------------------------------------------------------------------------


_BROKEN = {
    "cut": "sim:cut=3 sim:on_abort=bill_sent",
    "cut_before_a_piece": "sim:cut=0 sim:on_abort=bill_sent",
    "error_event": "sim:fail=3 sim:on_abort=bill_sent",
    "stall": "sim:stall=3",
    "bad_json": "sim:garbage=badjson",
}


@pytest.mark.parametrize("words", _BROKEN.values(), ids=_BROKEN)
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_stream_never_ends_in_silence(tmp_path: Path, dialect: str, words: str) -> None:
    """However the provider breaks, the client sees an error in its dialect or the true end; and what may have been billed is charged."""
    async with open_house(tmp_path, {"limits": {"stream_idle_s_max": 1}}) as house:
        wire = await dial(house)
        await wire.ask(await house.customer(), f"hi sim:output=30 {words}", dialect, max_tokens=60, stream=True)
        seen = await wire.until(b"0\r\n\r\n")
        last = seen.removesuffix(b"\r\n0\r\n\r\n").rpartition(b"data: ")[2]
        assert b'"error":{' in last
        assert seen.removesuffix(b"\r\n0\r\n\r\n").endswith(b"\n\n")
        charge = await _one(house)
    assert charge.completeness != "exact"
    assert charge.paid == charge.price > 0


@pytest.mark.parametrize("words", ["sim:cut=3", "sim:fail=3", "sim:stall=3"])
async def test_where_output_can_hide_a_broken_stream_is_charged_the_hold(tmp_path: Path, words: str) -> None:
    """The provider may bill all that it generated unseen: with a model that thinks first, only the hold covers that."""
    async with open_house(tmp_path, {"limits": {"stream_idle_s_max": 1}}) as house:
        wire = await dial(house)
        await wire.ask(await house.customer(), f"hi sim:output=300 sim:reasoning=500 {words}", "anthropic", max_tokens=1000, stream=True)
        await wire.until(b"0\r\n\r\n")
        charge = await _one(house)
        assert charge.price == house.rows("SELECT amount FROM holds")[0][0]


@pytest.mark.parametrize("words", ["sim:cut=3", "sim:fail=3"])
async def test_where_all_output_shows_a_broken_stream_is_charged_what_was_delivered(house: House, words: str) -> None:
    """One token for each byte that was delivered, and the bound of the input: no less than what a provider bills for what it sent."""
    wire = await dial(house)
    await wire.ask(await house.customer(), f"hi sim:output=300 sim:on_abort=bill_sent {words}", max_tokens=1000, stream=True)
    await wire.until(b"0\r\n\r\n")
    charge = await _one(house)
    assert charge.completeness == "estimated"
    assert charge.price < house.rows("SELECT amount FROM holds")[0][0]


async def test_a_stalled_stream_says_so_and_is_charged_the_hold(tmp_path: Path) -> None:
    """We gave up, not the provider: it may go on and bill what nobody reads."""
    async with open_house(tmp_path, {"limits": {"stream_idle_s_max": 1}}) as house:
        wire = await dial(house)
        await wire.ask(await house.customer(), "hi sim:output=900 sim:stall=3", max_tokens=1000, stream=True)
        seen = await wire.until(b"0\r\n\r\n")
        assert b"upstream_timeout" in seen
        charge = await _one(house)
        assert (charge.outcome, charge.completeness) == ("idle_timeout", "unknown")
        assert charge.price == house.rows("SELECT amount FROM holds")[0][0]


async def test_models_that_hide_output_are_known() -> None:
    """The two models these tests use stand for the two kinds."""
    from farebox.dialects import DIALECTS as SPOKEN

    assert not SPOKEN["openai"].hides_output(MODELS["openai"])
    assert SPOKEN["anthropic"].hides_output(MODELS["anthropic"])
