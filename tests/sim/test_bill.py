"""The provider's bill."""

import tracemalloc
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest
from genai_prices import Usage, calc_price

from farebox.sim.bill import Bill, Meter, State
from farebox.sim.generation import PIECES_MAX, Ask, Generation, Model, Terms, plan
from farebox.sim.prices import Billed, find_model, format_usd, price
from farebox.sim.words import Words

Rows = Callable[..., Awaitable[list[dict[str, Any]]]]
AT_S = 1_795_000_000
MODEL = Model(context_window=None, writes_cache=True, offers=frozenset())


def generation(words: Words, prompt: int = 100) -> Generation:
    return plan(Ask(model="gpt-6-sol", prompt=prompt, words=words), MODEL, b"req_1", AT_S)


def finished(bill: Bill, label: str, prompt: int, output: int, model: str = "gpt-6-sol") -> None:
    call = bill.open("openai", "openai", AT_S)
    call.label, call.model = bill.once(label), bill.once(model)
    Meter(call, generation(Words(output=output), prompt)).end(State.FINISHED)


async def chat(http: httpx.AsyncClient, text: str, model: str = "gpt-6-sol") -> str:
    answer = await http.post("/v1/chat/completions", json={"model": model, "messages": [{"role": "user", "content": text}]})
    return answer.headers["x-request-id"]


async def test_rows_are_found_by_label_and_after_an_id(http: httpx.AsyncClient, rows: Rows) -> None:
    """Rows keep the order of arrival."""
    first, second, third = [await chat(http, f"sim:bill={label}") for label in ("a", "b", "a")]
    assert [row["id"] for row in await rows()] == [first, second, third]
    assert [row["id"] for row in await rows(label="a")] == [first, third]
    assert [row["id"] for row in await rows(after=first)] == [second, third]
    assert [row["id"] for row in await rows(after=first, label="a")] == [third]
    assert await rows(label="c") == await rows(after=third) == []


@pytest.mark.parametrize("after", ["nonsense", "req_00000000", "req_000000000000000g", "9" * 400])
async def test_foreign_id_is_refused(http: httpx.AsyncClient, after: str) -> None:
    """Only ids of this simulator say where to go on."""
    assert (await http.get("/sim/calls", params={"after": after})).status_code == 400


async def test_bill_adds_up_by_label_and_by_model(http: httpx.AsyncClient, rows: Rows) -> None:
    """Both views have the same total, which is the sum of the rows."""
    for text, model in (
        ("sim:bill=a sim:output=10", "gpt-6-sol"),
        ("sim:bill=b sim:output=20", "gpt-6-sol"),
        ("sim:bill=a sim:output=30", "gpt-4o"),
    ):
        await chat(http, text, model)
    await chat(http, "sim:bill=a sim:status=500")
    found = await rows()
    for by, names in (("label", {"a": 3, "b": 1}), ("model", {"gpt-6-sol": 3, "gpt-4o": 1})):
        bill = (await http.get("/sim/bill", params={"by": by})).json()
        assert {line[by]: line["calls"] for line in bill["data"]} == names
        assert bill["total_nano"] == sum(line["nano"] for line in bill["data"]) == sum(row["nano"] for row in found) > 0
        assert Decimal(bill["total_usd"]) == sum(Decimal(row["usd"]) for row in found)
    assert (await http.get("/sim/bill", params={"by": "mood"})).status_code == 400


async def test_reset_forgets_every_call_but_never_reuses_an_id(http: httpx.AsyncClient, rows: Rows) -> None:
    """The bill starts again from zero; pages go on from old ids."""
    before = await chat(http, "hi")
    assert (await http.post("/sim/reset")).status_code == 200
    assert await rows() == []
    assert (await http.get("/sim/bill")).json()["total_nano"] == 0
    after = await chat(http, "hi")
    assert after != before
    assert [row["id"] for row in await rows(after=before)] == [after]


def test_long_lists_come_in_pages() -> None:
    """A page that is not the last names the id to go on after."""
    bill = Bill()
    for index in range(5):
        finished(bill, "odd" if index % 2 else "even", 10, 1)
    page, after = bill.rows(None, None, limit=2)
    assert (len(page), after) == (2, page[-1]["id"])
    page, after = bill.rows("even", after, limit=2)
    assert (len(page), after) == (2, None)


@pytest.mark.parametrize(
    ("provider", "model", "below", "factor"),
    [("openai", "gpt-6-sol", 272_000, Decimal("1.5")), ("anthropic", "claude-haiku-5-5", 100_000, Decimal(5))],
)
def test_price_cliff_lies_between_two_tokens(provider: str, model: str, below: int, factor: Decimal) -> None:
    """One token more makes the whole output dearer, as genai-prices has it."""
    terms = generation(Words()).terms

    def output_usd(prompt: int) -> Decimal:
        common = {"provider": provider, "model": model, "terms": terms, "cached": 0, "cache_write": 0, "step": AT_S // 900}
        return price(Billed(**common, input=prompt, output=1000)).usd - price(Billed(**common, input=prompt, output=0)).usd  # type: ignore[arg-type]

    assert output_usd(below + 1) == output_usd(below) * factor


def test_price_is_the_one_of_the_time_of_the_call() -> None:
    """A bill asked for later is no other bill: this model became five times cheaper one midnight."""
    midnight = int(datetime(2026, 7, 30, tzinfo=UTC).timestamp())
    bill = Bill()
    for at_s in (midnight - 1, midnight):
        call = bill.open("openai", "openai", at_s)
        call.model, call.input = "gpt-5.6-luna", 1000
    rows, _ = bill.rows(None, None)
    moments = [datetime.fromtimestamp(at_s, UTC) for at_s in (midnight - 1, midnight)]
    usage = Usage(input_tokens=1000)
    expected = [calc_price(usage, "gpt-5.6-luna", provider_id="openai", genai_request_timestamp=moment).total_price for moment in moments]
    assert [Decimal(str(row["usd"])) for row in rows] == expected == [Decimal("0.001"), Decimal("0.0002")]


@pytest.mark.parametrize(("tokens", "usd", "nano"), [(1, "0.0000000025", 2), (2, "0.000000005", 5), (3, "0.0000000075", 8)])
def test_nano_dollars_are_rounded_half_to_even_per_call(tokens: int, usd: str, nano: int) -> None:
    """Two calls of 2.5 nano-dollars are billed 2 each; the exact dollars keep the halves."""
    bill = Bill()
    for call in (bill.open("openai", "openai", AT_S), bill.open("openai", "openai", AT_S)):
        call.model, call.terms = "gpt-5-nano", Terms(service_tier="flex")
        call.input = call.cached = tokens
        assert (call.price().usd, call.price().nano) == (Decimal(usd), nano)
    totals = bill.totals("label")
    assert (totals["total_usd"], totals["total_nano"]) == (format_usd(2 * Decimal(usd)), 2 * nano)


def test_dollars_are_printed_exactly() -> None:
    """No exponent, no trailing zeros."""
    printed = [format_usd(Decimal(text)) for text in ("0", "1E-9", "1.500", "100", "0.00", "1E+2")]
    assert printed == ["0", "0.000000001", "1.5", "100", "0", "100"]


@pytest.mark.parametrize(
    ("on_abort", "state", "output"),
    [("bill_all", State.ABORTED, 50), ("bill_sent", State.ABORTED, 7), ("bill_sent", State.BROKEN, 7), ("bill_sent", State.FINISHED, 50)],
)
def test_unfinished_answer_is_billed_as_asked(on_abort: str, state: State, output: int) -> None:
    """All that was going to be generated, or what was sent; a finished answer always whole. Ends once."""
    call = Bill().open("openai", "openai", AT_S)
    meter = Meter(call, generation(Words(output=50, on_abort=on_abort)))
    meter.sent = 7
    meter.end(state)
    meter.end(State.FINISHED)
    assert (call.state, call.input, call.output) == (state, 100, output)


def test_reasoning_counts_as_sent_with_the_first_piece() -> None:
    """It was generated before it; what was sent never exceeds the whole."""
    from farebox.sim.openai_chat import OpenAIChat

    frames = list(OpenAIChat().frames(generation(Words(output=3 * PIECES_MAX, reasoning=40))))
    tokens = [count for _, count in frames if count]
    assert tokens[0] == 40 + tokens[1]
    assert sum(tokens) == 3 * PIECES_MAX + 40


def test_unknown_model_is_not_known() -> None:
    """Only models of the provider itself."""
    assert find_model("openai", "claude-opus-5-5") is None
    assert find_model("openai", "gpt-4o") is not None


def test_record_of_a_call_is_small() -> None:
    """A million calls with labels and ids stay under 600 MB."""
    bill = Bill()
    count = 20_000
    tracemalloc.start()
    for index in range(count):
        finished(bill, f"label {index % 100}", 1000 + index, 2000 + index)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used / count < 500
    assert len(bill) == count
