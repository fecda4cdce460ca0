"""What Anthropic bills beside one plain answer, through the unmodified SDK: its tools, other models, refusals, other speeds and places."""

from typing import Any

import anthropic
import pytest

from support.house import House

MODEL = "claude-opus-5-5"
_SEARCH: Any = {"type": "web_search_20250305", "name": "web_search", "max_uses": 4}
_FETCH: Any = {"type": "web_fetch_20250910", "name": "web_fetch", "max_uses": 2, "max_content_tokens": 900}
_ADVISOR: Any = {"type": "advisor_20260301", "name": "advisor", "model": "claude-fable-5-2", "max_uses": 2, "max_tokens": 300}
_FALLBACK: Any = [{"model": "claude-sonnet-5-5"}]
_ASKS: dict[str, tuple[str, dict[str, Any]]] = {
    "search": ("sim:web_search=3", {"tools": [_SEARCH]}),
    "failed_search": ("sim:web_search_errors=2", {"tools": [_SEARCH]}),
    "fetch": ("sim:web_fetch=2", {"tools": [_FETCH, _SEARCH]}),
    "adviser": ("sim:iterations=advisor_message", {"tools": [_ADVISOR]}),
    "declined_then_served": ("sim:iterations=fallback_message", {"fallbacks": _FALLBACK}),
    "declined_after_output": ("sim:iterations=fallback_output", {"fallbacks": _FALLBACK}),
    "several_runs": ("sim:iterations=message", {}),
    "compaction": ("sim:iterations=compaction", {}),
    "refusal": ("sim:refusal=1", {}),
    "fast": ("sim:output=40", {"speed": "fast"}),
    "us": ("sim:output=40", {"inference_geo": "us"}),
    "cache_writes": ("sim:cache_write=100 sim:cache_write_1h=60 " + "again " * 200, {"cache_control": {"type": "ephemeral", "ttl": "1h"}}),
    "cliff": ("sim:output=9", {"model": "claude-haiku-5-5", "words": 100_100}),
}


def _body(said: str, more: dict[str, Any]) -> dict[str, Any]:
    long = "word " * more.get("words", 0)
    sent = {name: value for name, value in more.items() if name != "words"}
    return {"model": MODEL, "max_tokens": 400, "messages": [{"role": "user", "content": f"{long}{said}"}], **sent}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_each_is_charged_what_the_provider_billed(house: House, stream: bool) -> None:
    """To the nano-dollar, at whatever models it ran."""
    secret = await house.customer("500.00", None)
    for name, (said, more) in _ASKS.items():
        headers = {"x-api-key": secret, "anthropic-version": "2023-06-01"}
        answer = await house.http.post(f"{house.url}/v1/messages", json={**_body(said, more), "stream": stream}, headers=headers)
        assert answer.status_code == 200, (name, answer.text)
    charges = await house.agree_with(len(_ASKS))
    assert {charge.completeness for charge in charges} == {"exact"}


async def test_an_unknown_run_is_charged_the_hold(house: House) -> None:
    """Whatever it cost: never nothing."""
    client = house.anthropic(await house.customer("50.00", None))
    await client.messages.create(model=MODEL, max_tokens=50, messages=[{"role": "user", "content": "hi sim:iterations=unknown"}])
    (charge,) = await house.agree_with(1)
    assert (charge.completeness, "unknown_iteration" in charge.flags) == ("unknown", True)


async def test_a_key_that_may_not_use_a_model_may_not_fall_back_to_it(house: House) -> None:
    """Nor ask it for advice."""
    client = house.anthropic(await house.customer("50.00", None, models=[f"anthropic/{MODEL}"]))
    for more in ({"fallbacks": _FALLBACK}, {"tools": [_ADVISOR]}):
        with pytest.raises(anthropic.PermissionDeniedError):
            await client.post("/v1/messages", body=_body("hi", more), cast_to=object)
    assert await house.sim_calls() == []
