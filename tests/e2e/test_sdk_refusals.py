"""Every refusal of the contract as the real SDKs see it: the right exception, one attempt where asking again is pointless, nothing moved."""

import asyncio
import re
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from e2e.refusals import MODELS, REFUSALS, SETTINGS, Refused, Scene
from support.house import House, open_house, until

_OPENAI: dict[int, type[openai.APIStatusError]] = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    403: openai.PermissionDeniedError,
    404: openai.NotFoundError,
    409: openai.ConflictError,
    422: openai.UnprocessableEntityError,
    429: openai.RateLimitError,
    **dict.fromkeys((502, 503, 504), openai.InternalServerError),
}
_ANTHROPIC: dict[int, type[anthropic.APIStatusError]] = {
    400: anthropic.BadRequestError,
    401: anthropic.AuthenticationError,
    402: anthropic.PaymentRequiredError,
    403: anthropic.PermissionDeniedError,
    404: anthropic.NotFoundError,
    409: anthropic.ConflictError,
    413: anthropic.RequestTooLargeError,
    422: anthropic.UnprocessableEntityError,
    429: anthropic.RateLimitError,
    502: anthropic.InternalServerError,
    503: anthropic.ServiceUnavailableError,
    504: anthropic.DeadlineExceededError,
}
_OPENAI_CODES = {401: "invalid_api_key", 402: "insufficient_quota"}
_ANTHROPIC_TYPES = {401: "authentication_error", 402: "billing_error", 403: "permission_error", 429: "rate_limit_error"}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path, SETTINGS) as opened:
        yield opened


async def _openai(house: House, scene: Scene, *, stream: bool, max_retries: int) -> object:
    client = house.openai(scene.secret, max_retries=max_retries)
    messages: Any = [{"role": "user", "content": scene.text}]
    return await client.chat.completions.create(
        model=scene.model or MODELS["openai"],
        messages=messages,
        stream=stream,
        extra_headers=dict(scene.headers),
        extra_body=dict(scene.fields),
    )


async def _anthropic(house: House, scene: Scene, *, stream: bool, max_retries: int) -> object:
    client = house.anthropic(scene.secret, max_retries=max_retries)
    return await client.messages.create(
        model=scene.model or MODELS["anthropic"],
        max_tokens=64,
        messages=[{"role": "user", "content": scene.text}],
        stream=stream,
        extra_headers=dict(scene.headers),
        extra_body=dict(scene.fields),
    )


async def _before(house: House, scene: Scene, call: "Coroutine[Any, Any, object]") -> asyncio.Task[object]:
    """The same call once before: to its end, or until its money is set aside."""
    holds, task = house.books()["holds"], asyncio.ensure_future(call)
    if scene.before == "done":
        await asyncio.wait([task])
        assert task.exception() is not None
        await house.settled()
    if scene.before == "running":
        await until(lambda: house.books()["holds"] > holds or task.done())
        assert not task.done()
    return task


async def _play(house: House, refused: Refused, dialect: str, patch: pytest.MonkeyPatch, *, stream: bool) -> Any:
    scene = await refused.arrange(house, dialect, patch)
    ask: Any = _openai if dialect == "openai" else _anthropic
    first = await _before(house, scene, ask(house, scene, stream=stream, max_retries=0)) if scene.before else None
    before, asked = house.books(), len(house.seen)
    with pytest.raises((openai.APIStatusError, anthropic.APIStatusError)) as raised:
        await ask(house, scene, stream=stream, max_retries=0 if refused.retries else 2)
    problem: Any = raised.value
    assert len(house.seen) - asked == 1, "an answer that says not to try again was tried again"
    patch.undo()
    after = house.books()
    for name in ("granted", "spent", "held", "written_off", "transfers", *(() if refused.sent else ("holds", "charges"))):
        assert refused.charged or after[name] == before[name], f"a refusal moved {name}"
    if scene.after is not None:
        await scene.after()
    if first is not None and scene.before == "running":
        await _read(await first)
    assert re.search(scene.says, problem.message, re.DOTALL), problem.message
    headers = problem.response.headers
    assert headers["x-farebox-reason"] == refused.reason
    assert headers["content-type"] == "application/json"
    assert re.fullmatch(r"req_[0-9a-z]{26,32}", headers["x-farebox-request-id"])
    may_have_billed = refused.charged or refused.status in (402, 409, 422) or refused.reason == "upstream_account"
    assert headers.get("x-should-retry") == ("false" if may_have_billed else None)
    if refused.status == 429 or refused.reason in ("busy", "draining", "ledger_unavailable"):
        assert 1 <= int(headers["retry-after"]) <= 60
    await house.settled()
    return problem


def _body(problem: Any) -> Any:
    return problem.body


async def _read(answer: Any) -> None:
    if hasattr(answer, "__aiter__"):
        async for _ in answer:
            pass


@pytest.mark.parametrize("refused", REFUSALS, ids=str)
async def test_openai_sdk_raises_its_own_class_with_our_words(house: House, refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    """A status and JSON before the first byte, streamed or not; the SDK's class, `code`, and the facts under `farebox`."""
    for stream in (False, True):
        problem = await _play(house, refused, "openai", monkeypatch, stream=stream)
        assert type(problem) is _OPENAI.get(refused.status, openai.APIStatusError)
        assert problem.status_code == refused.status
        assert _body(problem)["farebox"]["reason"] == refused.reason
        if refused.status in _OPENAI_CODES:
            assert problem.code == _OPENAI_CODES[refused.status]


@pytest.mark.parametrize("refused", REFUSALS, ids=str)
async def test_anthropic_sdk_raises_its_own_class_with_our_words(house: House, refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same in Anthropic's words: `error.type`, a request id, and the facts under `farebox`."""
    for stream in (False, True):
        problem = await _play(house, refused, "anthropic", monkeypatch, stream=stream)
        assert type(problem) is _ANTHROPIC.get(refused.status, anthropic.APIStatusError)
        assert problem.status_code == refused.status
        assert _body(problem)["error"]["farebox"]["reason"] == refused.reason
        assert problem.request_id == _body(problem)["request_id"]
        if refused.status in _ANTHROPIC_TYPES:
            assert _body(problem)["error"]["type"] == _ANTHROPIC_TYPES[refused.status]


async def test_a_route_that_is_not_metered_does_not_exist(house: House) -> None:
    """404 in the dialect's words, before any key is looked at."""
    with pytest.raises(openai.NotFoundError, match="only routes that are metered and priced exist") as missing:
        await house.openai(await house.customer()).fine_tuning.jobs.create(model="gpt-4o-mini", training_file="file-1")
    assert missing.value.response.headers["x-farebox-reason"] == "route_not_found"
    with pytest.raises(anthropic.NotFoundError, match="only routes that are metered and priced exist"):
        await house.anthropic(await house.customer()).messages.batches.list()
    assert house.books()["holds"] == 0


async def test_a_known_route_with_another_method_says_which_it_takes(house: House) -> None:
    """405 with `Allow`, in the dialect's words."""
    secret = await house.customer()
    with pytest.raises(openai.APIStatusError, match="takes POST, not GET") as wrong:
        await house.openai(secret).get("/chat/completions", cast_to=object)
    assert wrong.value.status_code == 405
    assert wrong.value.response.headers["allow"] == "POST"
    with pytest.raises(anthropic.APIStatusError, match="takes POST, not GET") as wrong_too:
        await house.anthropic(secret).get("/v1/messages", cast_to=object)
    assert wrong_too.value.response.headers["x-farebox-reason"] == "method_not_allowed"


async def test_no_money_is_one_attempt_with_default_retries(house: House) -> None:
    """Neither SDK asks again on 402: exactly one request reaches the gateway, and none the provider."""
    secret = await house.customer("0")
    with pytest.raises(openai.APIStatusError):
        await house.openai(secret).chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "hi"}])
    with pytest.raises(anthropic.PaymentRequiredError):
        await house.anthropic(secret).messages.create(model="claude-sonnet-5-5", max_tokens=9, messages=[{"role": "user", "content": "hi"}])
    assert house.seen == ["POST /v1/chat/completions", "POST /v1/messages"]
    assert await house.sim_calls() == []


@pytest.mark.parametrize("reason", ["exceeds_available", "budget_exceeded"])
async def test_a_402_carries_figures_a_program_can_use(house: House, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both figures in dollars, the affordable output cap, where to top up, when the budget renews."""
    refused = next(one for one in REFUSALS if one.reason == reason)
    problem = await _play(house, refused, "openai", monkeypatch, stream=False)
    facts = _body(problem)["farebox"]
    assert float(facts["needed_usd"]) > float(facts["available_usd"]) > 0
    assert facts["affordable_max_output_tokens"] >= 0
    assert ("topup_url" in facts) is (reason == "exceeds_available")
    assert ("renews_at" in facts) is (reason == "budget_exceeded")


async def test_the_affordable_cap_that_a_402_names_is_affordable(house: House) -> None:
    """Asked again with the cap it was told, the call goes through; with one token more it does not."""
    secret = await house.customer("0.01")
    refused = await house.chat(secret, max_completion_tokens=1_000_000)
    affordable = refused.json()["error"]["farebox"]["affordable_max_output_tokens"]
    assert (await house.chat(secret, max_completion_tokens=affordable + 1000)).status_code == 402
    again = await house.chat(secret, max_completion_tokens=affordable - 100)  # the longer body of a higher cap held a little more
    assert again.status_code == 200
