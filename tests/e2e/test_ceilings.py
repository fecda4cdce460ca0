"""What a caller says beside the body: ceilings, run caps, tags, dry runs; and the output cap: named, lowered, set, and what goes upstream."""

import asyncio
from pathlib import Path
from typing import Any

from farebox.money import format_usd, parse_usd
from support.house import House, open_house


async def _cap_upstream(house: House) -> Any:
    return (await house.sim_calls())[-1]["cap"]


async def _worst(house: House, tokens: int, choices: int = 1) -> int:
    """The worst case of a call with this output cap, in nano-dollars."""
    secret = await house.customer("900.00", None)
    asked = await house.chat(secret, "hi", {"x-farebox-dry-run": "1"}, max_completion_tokens=tokens, n=choices)
    return parse_usd(asked.json()["worst_case_usd"])


# --- the output cap --------------------------------------------------------------------------------------------------------------


async def test_a_cap_that_is_named_and_affordable_is_kept(house: House) -> None:
    """And goes upstream as it was named, in the field it was named in."""
    secret = await house.customer()
    for field in ("max_tokens", "max_completion_tokens"):
        fields: dict[str, Any] = {field: 300}
        answer = await house.chat(secret, "hi sim:output=500", **fields)
        assert "x-farebox-max-output-tokens" not in answer.headers
        assert answer.json()["usage"]["completion_tokens"] == 300
        assert await _cap_upstream(house) == 300
    await house.agree()


async def test_a_cap_that_is_named_and_not_affordable_is_refused(house: House) -> None:
    """402 even though a shorter answer would be affordable: the caller asked for that many."""
    secret = await house.customer("0.001")
    answer = await house.chat(secret, max_completion_tokens=5_000)
    assert (answer.status_code, answer.headers["x-farebox-reason"]) == (402, "exceeds_available")
    assert await house.sim_calls() == []


async def test_a_cap_that_is_not_named_is_set_and_lowered_to_what_is_affordable(house: House) -> None:
    """The gateway's default at first; with little money less; the lowered cap is what goes upstream and what the answer says."""
    secret = await house.customer("5.00", "1.00")
    answer = await house.chat(secret)
    assert answer.headers["x-farebox-max-output-tokens"] == "8192"
    assert await _cap_upstream(house) == 8192
    poor = await house.customer("0.002")
    answer = await house.chat(poor, "hi sim:output=6000")
    cap = int(answer.headers["x-farebox-max-output-tokens"])
    assert 256 <= cap < 8192
    assert await _cap_upstream(house) == cap
    assert answer.json()["usage"]["completion_tokens"] == cap
    assert answer.json()["choices"][0]["finish_reason"] == "length"
    charges = await house.agree()
    assert all(charge.written_off == 0 for charge in charges)


async def test_a_cap_is_never_lowered_below_the_least(house: House) -> None:
    """Where not even `min_output_tokens` are affordable the call makes no sense: 402."""
    just = await _worst(house, 256)
    assert (await house.chat(await house.customer(format_usd(just)))).status_code == 200
    answer = await house.chat(await house.customer(format_usd(just // 2)))
    assert (answer.status_code, answer.headers["x-farebox-reason"]) == (402, "exceeds_available")
    facts = answer.json()["error"]["farebox"]
    assert facts["affordable_max_output_tokens"] < 256


async def test_min_output_tokens_is_a_setting(tmp_path: Path) -> None:
    """And so is the default cap."""
    async with open_house(tmp_path, {"limits": {"min_output_tokens": 10, "default_max_output_tokens": 1000}}) as house:
        just = await _worst(house, 10)
        answer = await house.chat(await house.customer(format_usd(just + just // 10)))
        assert 10 <= int(answer.headers["x-farebox-max-output-tokens"]) < 256
        assert (await house.chat(await house.customer())).headers["x-farebox-max-output-tokens"] == "1000"


async def test_a_keys_own_default_cap_wins(house: House) -> None:
    """Set on the key, and never more than the model can give."""
    answer = await house.chat(await house.customer(default_max_output_tokens=700))
    assert answer.headers["x-farebox-max-output-tokens"] == "700"
    answer = await house.chat(await house.customer("50.00", None, default_max_output_tokens=900_000))
    assert answer.headers["x-farebox-max-output-tokens"] == "16384"


async def test_clamping_a_named_cap_is_the_callers_choice_per_call(house: House) -> None:
    """`x-farebox-clamp: 1` lowers a named cap to what is affordable, says so, and sends it."""
    secret = await house.customer("0.002")
    assert (await house.chat(secret, max_completion_tokens=9_000)).status_code == 402
    answer = await house.chat(secret, "hi sim:output=9000", {"x-farebox-clamp": "1"}, max_completion_tokens=9_000)
    assert answer.status_code == 200
    cap = int(answer.headers["x-farebox-max-output-tokens"])
    assert await _cap_upstream(house) == cap == answer.json()["usage"]["completion_tokens"] < 9_000
    await house.agree()


async def test_a_key_may_clamp_always_or_never(house: House) -> None:
    """`always` lowers named caps too; `never` lowers none, not even the default."""
    always = await house.customer("0.002", clamp="always")
    answer = await house.chat(always, max_completion_tokens=9_000)
    assert int(answer.headers["x-farebox-max-output-tokens"]) < 9_000
    never = await house.customer("0.002", clamp="never")
    assert (await house.chat(never)).status_code == 402
    asked = await house.chat(never, headers={"x-farebox-clamp": "1"})
    assert int(asked.headers["x-farebox-max-output-tokens"]) < 8192


async def test_a_clamped_cap_is_what_anthropic_gets(house: House) -> None:
    """The one required field, replaced in its place."""
    secret = await house.customer("0.03", clamp="always")
    answer = await house.messages(secret, "hi sim:output=60000", max_tokens=60_000)
    cap = int(answer.headers["x-farebox-max-output-tokens"])
    assert answer.json()["usage"]["output_tokens"] == await _cap_upstream(house) == cap < 60_000
    assert answer.json()["stop_reason"] == "max_tokens"
    await house.agree()


async def test_a_thinking_budget_is_never_cut(house: House) -> None:
    """A cap below the budget would be refused by the provider: 402 instead of a call that cannot work."""
    secret = await house.customer("0.03", clamp="always")
    thinking = {"type": "enabled", "budget_tokens": 20_000}
    answer = await house.messages(secret, max_tokens=60_000, thinking=thinking)
    assert answer.status_code == 402
    assert (await house.messages(secret, max_tokens=60_000)).status_code == 200


async def test_every_choice_is_held_for(house: House) -> None:
    """`n` multiplies the output, in the hold and in the lowered cap."""
    one, five = await _worst(house, 1000), await _worst(house, 1000, 5)
    assert five > 3 * one
    secret = await house.customer("0.02")
    answer = await house.chat(secret, "hi sim:output=9000", n=5)
    cap = int(answer.headers["x-farebox-max-output-tokens"])
    assert answer.json()["usage"]["completion_tokens"] == 5 * cap
    assert (await house.agree())[-1].written_off == 0


# --- ceilings ----------------------------------------------------------------------------------------------------------------------


async def test_a_call_is_held_below_the_ceiling_it_names(house: House) -> None:
    """`x-farebox-max-cost`: a named cap that may cost more is refused, one that is not named is lowered to fit."""
    secret = await house.customer()
    refused = await house.chat(secret, headers={"x-farebox-max-cost": "0.001"}, max_completion_tokens=5_000)
    assert (refused.status_code, refused.headers["x-farebox-reason"]) == (402, "exceeds_max_cost")
    answer = await house.chat(secret, "hi sim:output=9000", {"x-farebox-max-cost": "0.001"})
    assert parse_usd(answer.headers["x-farebox-hold"]) <= 1_000_000
    assert int(answer.headers["x-farebox-max-output-tokens"]) < 8192
    assert all(charge.price <= 1_000_000 for charge in await house.agree())


async def test_a_run_has_one_cap_over_all_its_calls(house: House) -> None:
    """`x-farebox-run` with `x-farebox-run-max-cost`: calls of one agent run together stay below; another run has its own."""
    secret = await house.customer("5.00", None)
    run = {"x-farebox-run": "agent-7", "x-farebox-run-max-cost": "0.004"}
    statuses = [(await house.chat(secret, "hi sim:output=1500", run, max_completion_tokens=1500)).status_code for _ in range(8)]
    assert statuses[0] == 200
    assert statuses[-1] == 402
    assert sum(charge.paid for charge in await house.agree()) <= 4_000_000
    last = await house.chat(secret, "hi sim:output=1500", run, max_completion_tokens=1500)
    assert "run agent-7" in last.json()["error"]["message"]
    other = {**run, "x-farebox-run": "agent-8"}
    assert (await house.chat(secret, "hi", other, max_completion_tokens=1500)).status_code == 200
    assert (await house.chat(secret, "hi", max_completion_tokens=1500)).status_code == 200, "the key itself has no such cap"


async def test_parallel_calls_of_a_run_cannot_take_it_over_its_cap(house: House) -> None:
    """Held, not only spent: as many as fit at once."""
    worst = await _worst(house, 1000)
    secret = await house.customer("5.00", None)
    run = {"x-farebox-run": "r", "x-farebox-run-max-cost": format_usd(worst * 3 + 1000)}
    words = "hi sim:delay=200 sim:output=1000"
    calls = [house.chat(secret, words, run, max_completion_tokens=1000, store=False) for _ in range(10)]
    await asyncio.gather(*calls)
    assert sum(charge.paid for charge in await house.agree()) <= worst * 3 + 1000


async def test_tags_user_and_run_are_on_record(house: House) -> None:
    """In the order of their names, with what was called."""
    secret = await house.customer()
    headers = {"x-farebox-tags": "team=search, feature=answers", "x-farebox-user": "u-81", "x-farebox-run": "r-5"}
    assert (await house.chat(secret, headers=headers)).status_code == 200
    assert house.rows("SELECT tags, user, run FROM holds") == [("feature=answers,team=search", "u-81", "r-5")]


_BAD_HEADERS = [
    ("x-farebox-tags", "team"),
    ("x-farebox-tags", "team=a,team=b"),
    ("x-farebox-tags", ",".join(f"t{index}=v" for index in range(17))),
    ("x-farebox-tags", "a b=c"),
    ("x-farebox-tags", "team=" + "x" * 200),
    ("x-farebox-user", "x" * 300),
    ("x-farebox-user", "caf\u00e9"),
    ("x-farebox-user", "tab\tbed"),
    ("x-farebox-run", "x" * 200),
    ("x-farebox-max-cost", "free"),
    ("x-farebox-max-cost", "-1"),
    ("x-farebox-max-cost", "nan"),
    ("x-farebox-max-cost", "1e400"),
    ("x-farebox-max-cost", "0.0000000001"),
    ("x-farebox-run-max-cost", "99999999999999999999"),
    ("x-farebox-clamp", "yes"),
    ("x-farebox-dry-run", "true"),
]


async def test_a_header_that_cannot_be_meant_is_refused_by_name(house: House) -> None:
    """400 before anything is held: a ceiling that is misread is no ceiling."""
    secret = await house.customer()
    for name, value in _BAD_HEADERS:
        answer = await house.http.post(
            f"{house.url}/v1/chat/completions",
            headers=[(b"authorization", f"Bearer {secret}".encode()), (name.encode(), value.encode("latin-1"))],
            json={"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]},
        )
        assert (answer.status_code, answer.headers["x-farebox-reason"]) == (400, "invalid_request"), (name, value)
        assert name in answer.json()["error"]["message"]
    assert house.books()["holds"] == 0


async def test_two_values_of_one_header_are_refused(house: House) -> None:
    """Which ceiling counts would be a guess."""
    secret = await house.customer()
    answer = await house.http.post(
        f"{house.url}/v1/chat/completions",
        headers=[("authorization", f"Bearer {secret}"), ("x-farebox-max-cost", "1"), ("x-farebox-max-cost", "2")],
        json={"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]},
    )
    assert answer.status_code == 400
    assert "sent twice" in answer.json()["error"]["message"]


async def test_a_dry_run_quotes_and_does_nothing(house: House) -> None:
    """200 with the worst case; no hold, no charge, nothing forwarded; and the very hold that the call then has."""
    secret = await house.customer()
    quote = await house.chat(secret, headers={"x-farebox-dry-run": "1"}, max_completion_tokens=500)
    assert quote.status_code == 200
    assert quote.json()["max_output_tokens"] == 500
    assert house.books()["holds"] == 0
    assert await house.sim_calls() == []
    answer = await house.chat(secret, max_completion_tokens=500)
    assert quote.headers["x-farebox-hold"] == answer.headers["x-farebox-hold"]
    assert parse_usd(quote.json()["worst_case_usd"]) >= (await house.agree())[0].price


async def test_a_dry_run_is_refused_like_the_call_would_be(house: House) -> None:
    """Also by what was laid down since the key was last seen."""
    secret = await house.customer()
    assert (await house.chat(secret)).status_code == 200
    await house.edit_key(secret, models=["gpt-4o"])
    assert (await house.chat(secret, headers={"x-farebox-dry-run": "1"})).status_code == 403
    await house.edit_key(secret, status="revoked")
    assert (await house.chat(secret, headers={"x-farebox-dry-run": "1"})).status_code == 401
