"""Quotes over the API: the gate's own worst case, part by part."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.back import Back
from farebox.control.quotes import items
from farebox.pricing.cards import ModelPrice
from farebox.pricing.quote import bound
from farebox.pricing.rows import ModelRow, PriceRow
from farebox.usage import IN_CACHE_WRITE_1H, IN_TEXT, OUT_AUDIO, OUT_TEXT, REQUESTS, TOOL_WEB_SEARCH, Conditions, Demand

CHAT: dict[str, Any] = {"model": "gpt-4o-mini", "max_tokens": 1000, "messages": [{"role": "user", "content": "Say something long."}]}
MESSAGES: dict[str, Any] = {"model": "claude-sonnet-5-5", "max_tokens": 1000, "messages": [{"role": "user", "content": "hi"}]}


@pytest.mark.parametrize(("route", "body"), [("chat_completions", CHAT), ("chat_completions", {**CHAT, "n": 3}), ("messages", MESSAGES)])
@pytest.mark.parametrize("markup", [None, 1500])
async def test_the_parts_of_a_quote_sum_up_to_its_worst_case(priced: Back, route: str, body: dict[str, Any], markup: int | None) -> None:
    """To the nano-dollar, markup and rounding told apart."""
    account = await priced.account(None, **({} if markup is None else {"markup_basis_points": markup}))
    quote = await priced.post("/quotes", {"account": account, "route": route, "body": body})
    assert sum(Decimal(item["usd"]) for item in quote["items"]) == Decimal(quote["worst_case_usd"])
    assert {item["item"] for item in quote["items"]} >= {"input", "output"}
    rest = [Decimal(item["usd"]) for item in quote["items"] if item["item"] == "markup_and_rounding"]
    if markup is None:
        assert all(abs(part) < Decimal("0.000000010") for part in rest)
        assert quote["worst_case_usd"] == quote["worst_case_cost_usd"]
    else:
        assert Decimal(quote["worst_case_usd"]) == pytest.approx(
            Decimal(quote["worst_case_cost_usd"]) * Decimal("1.15"), abs=Decimal("1e-8")
        )


async def test_a_quote_says_whether_the_money_is_there(priced: Back) -> None:
    """And how much output would be affordable. Nothing is held by asking."""
    account = await priced.account("0.0004")
    key, _ = await priced.key(account, "5.00")
    quote = await priced.post("/quotes", {"key": key, "dialect": "openai", "body": CHAT})
    assert (quote["fits"], quote["available_usd"]) == (False, "0.0004")
    assert 0 < quote["affordable_max_output_tokens"] < 1000
    lowered = {**CHAT, "max_tokens": quote["affordable_max_output_tokens"]}
    fitting = await priced.post("/quotes", {"key": key, "dialect": "openai", "body": lowered})
    assert fitting["fits"] is True
    more = {**CHAT, "max_tokens": quote["affordable_max_output_tokens"] + 1}
    assert (await priced.post("/quotes", {"key": key, "dialect": "openai", "body": more}))["fits"] is False
    assert (await priced.get("/holds"))["data"] == []
    await priced.post(f"/keys/{key}/pause")
    assert (await priced.post("/quotes", {"key": key, "dialect": "openai", "body": lowered}))["refused_because"] == "key_paused"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"dialect": "openai", "body": {**CHAT, "model": "no-such-model"}}, (403, 404), None),
        (
            {"dialect": "openai", "body": '{"model": "gpt-4o-mini", "messages": [], "max_tokens": 1, "max_tokens": 2}'},
            400,
            "ambiguous_body",
        ),
        ({"dialect": "openai", "body": "{"}, 400, "invalid_request"),
        ({"dialect": "openai", "route": "messages", "body": CHAT}, 422, "invalid_request"),
        ({"body": CHAT}, 422, "invalid_request"),
        ({"dialect": "openai", "body": {**CHAT, "max_tokens": 10**30}}, (400, 422), "invalid_request"),
    ],
)
async def test_what_cannot_be_quoted_is_refused_as_the_gate_would(
    priced: Back, body: dict[str, Any], status: Any, code: str | None
) -> None:
    """In a problem document, with the gate's reason."""
    account = await priced.account(None)
    problem = await priced.post("/quotes", {"account": account, **body}, status=status)
    assert code in (None, problem["code"])
    await priced.post("/quotes", {"dialect": "openai", "body": CHAT}, status=422)


def _price() -> ModelPrice:
    def row(unit: str, pico: int, above: int = 0, tier: str = "default") -> PriceRow:
        return PriceRow("p", "m", unit, above, tier, "standard", "global", 0, pico, 0, None, "test", 0)

    rows = [row(IN_TEXT, 3_000), row(IN_TEXT, 6_000, 1_000), row(OUT_TEXT, 15_000), row(OUT_TEXT, 22_000, 1_000), row(OUT_AUDIO, 90_000)]
    rows += [row(IN_CACHE_WRITE_1H, 5_000), row(TOOL_WEB_SEARCH, 10_000_000), row(REQUESTS, 77)]
    rows += [row(IN_TEXT, 9_000, tier="priority"), row(OUT_TEXT, 16_000, tier="priority"), row(OUT_AUDIO, 91_000, tier="priority")]
    return ModelPrice(ModelRow("p", "m", ("m",), 200_000, 9_000), rows, valid_from_us=0, valid_to_us=None, fee_dearest=lambda _unit: None)


@given(
    tokens=st.integers(0, 500_000),
    inputs=st.sampled_from([(IN_TEXT,), (IN_TEXT, IN_CACHE_WRITE_1H)]),
    outputs=st.sampled_from([(OUT_TEXT,), (OUT_TEXT, OUT_AUDIO)]),
    choices=st.integers(1, 8),
    extra=st.integers(0, 1_000),
    fees=st.sampled_from([{}, {TOOL_WEB_SEARCH: 3}, {REQUESTS: 4}, {REQUESTS: 2, TOOL_WEB_SEARCH: 1}]),
    tiers=st.sampled_from([("default",), ("priority",), ("default", "priority")]),
    cap=st.integers(1, 9_000),
)
def test_the_parts_of_any_worst_case_sum_up_to_its_bound(
    tokens: int, inputs: Any, outputs: Any, choices: int, extra: int, fees: dict[str, int], tiers: tuple[str, ...], cap: int
) -> None:
    """Tiers, fees, several sets of conditions: what is told part by part is what would be held."""
    price = _price()
    demand = Demand(
        tokens,
        inputs,
        output_units=outputs,
        choices=choices,
        extra_output_tokens=extra,
        fees_max=fees,
        conditions=tuple(Conditions(service_tier=tier) for tier in tiers),
    )
    worst = bound(demand, price)
    assert sum(part.pico for part in items(demand, price, worst.input_tokens, cap)) == worst.worst_pico(cap)
