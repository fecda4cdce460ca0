"""What an operator's settings admit, with the real SDKs: refused with the line to write; once that is written, forwarded, held for and charged."""

import re
import tomllib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest
from google import genai
from google.genai import errors, types

from farebox.ledger.model import Charge
from farebox.settings import load
from support.house import House, open_house

_MCP: Any = {"type": "mcp", "server_label": "wiki", "server_url": "https://mcp.example.com", "require_approval": "never"}
Call = Callable[[House, str], Awaitable[Any]]


async def _response(house: House, secret: str) -> Any:
    return await house.openai(secret, max_retries=0).responses.create(model="gpt-5.4", input="hi sim:output=30", tools=[_MCP])


async def _streamed(house: House, secret: str) -> Any:
    stream = await house.openai(secret, max_retries=0).responses.create(model="gpt-5.4", input="hi", tools=[_MCP], stream=True)
    return [event.type async for event in stream]


async def _file(house: House, secret: str) -> Any:
    part: Any = {"type": "input_file", "file_url": "https://example.com/a.pdf"}
    return await house.openai(secret, max_retries=0).responses.create(model="gpt-5.4", input=[{"role": "user", "content": [part]}])


async def _search(house: House, secret: str) -> Any:
    messages: Any = [{"role": "user", "content": "news sim:output=20 sim:web_search=2"}]
    client = house.openai(secret, max_retries=0).chat.completions
    return await client.create(model="gpt-4o-mini", messages=messages, web_search_options={})


async def _spoken(house: House, secret: str) -> Any:
    messages: Any = [{"role": "user", "content": "say sim:output=20 sim:audio_out=300"}]
    client = house.openai(secret, max_retries=0).chat.completions
    return await client.create(
        model="gpt-audio",
        messages=messages,
        modalities=["text", "audio"],
        audio={"voice": "alloy", "format": "wav"},
        max_completion_tokens=500,
    )


async def _compacted(house: House, secret: str) -> Any:
    client = house.anthropic(secret, max_retries=0).beta.messages
    messages: Any = [{"role": "user", "content": "hi sim:output=25 sim:iterations=compaction"}]
    edits: Any = {"edits": [{"type": "compact_20260112"}]}
    betas: Any = ["compact-2026-01-12"]
    return await client.create(model="claude-sonnet-5-5", max_tokens=64, messages=messages, context_management=edits, betas=betas)


async def _servers(house: House, secret: str) -> Any:
    client = house.anthropic(secret, max_retries=0).beta.messages
    servers: Any = [{"type": "url", "url": "https://mcp.example.com", "name": "wiki"}]
    messages: Any = [{"role": "user", "content": "hi sim:output=25"}]
    betas: Any = ["mcp-client-2025-11-20"]
    return await client.create(model="claude-sonnet-5-5", max_tokens=64, messages=messages, mcp_servers=servers, betas=betas)


async def _runs(house: House, secret: str) -> Any:
    options = types.HttpOptions(base_url=house.url)
    config = types.GenerateContentConfig(tools=[types.Tool(code_execution=types.ToolCodeExecution())], max_output_tokens=64)
    client = genai.Client(api_key=secret, http_options=options)
    async with client.aio as aio:
        return await aio.models.generate_content(model="gemini-2.5-flash", contents="hi sim:tool_use=700 sim:output=9", config=config)


async def _guarded(house: House, secret: str) -> Any:
    answer = await house.http.post(
        f"{house.url}/model/anthropic.claude-opus-4-1-20250805-v1:0/converse",
        headers={"authorization": f"Bearer {secret}"},
        json={
            "messages": [{"role": "user", "content": [{"text": "hi sim:output=9"}]}],
            "inferenceConfig": {"maxTokens": 64},
            "guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"},
        },
    )
    answer.raise_for_status()
    return answer.json()


CALLS: dict[str, Call] = {
    "an mcp tool": _response,
    "an mcp tool, streamed": _streamed,
    "a file elsewhere": _file,
    "a search that is not reported": _search,
    "spoken output": _spoken,
    "mcp servers": _servers,
    "compaction": _compacted,
    "code that the provider runs": _runs,
    "a guardrail": _guarded,
}
FEES = {"a search that is not reported", "a guardrail"}
REFUSALS = (openai.BadRequestError, anthropic.BadRequestError, errors.ClientError, httpx.HTTPStatusError)


def line_in(refused: BaseException) -> str:
    """What a refusal says to write into the settings file: a section and a line."""
    said = refused.response.text if isinstance(refused, httpx.HTTPStatusError) else str(refused)
    found = re.search(r"under (\[providers\.[^\]]+\]): (bounds\.[\w\\\".:/-]+ = (?:\d+|\\?\"[\d.]+\\?\"))", said)
    assert found, said
    return f"{found[1]}\n{found[2]}\n".replace('\\"', '"')


async def refused_line(house: House, call: Call, secret: str) -> str:
    """The line that the refusal of a call names; nothing moved, and nothing was sent."""
    before = house.books()
    with pytest.raises(REFUSALS) as refused:
        await call(house, secret)
    assert house.books() == before
    assert not await house.sim_calls()
    return line_in(refused.value)


@pytest.mark.parametrize("what", CALLS)
async def test_doing_what_the_refusal_says_works(tmp_path: Path, what: str) -> None:
    """The line of the message, written as it stands, admits the same call: it is held for, and charged as it is billed, fees above that."""
    async with open_house(tmp_path) as house:
        secret = await house.customer("50.00", "50.00")
        line = await refused_line(house, CALLS[what], secret)
    async with open_house(tmp_path, tomllib.loads(line)) as house:
        await CALLS[what](house, secret)
        charge = await only_charge(house)
        bill = int((await house.sim_calls())[-1]["nano"])
    if what in FEES:
        assert charge.price > bill
        assert '["set_fee",1,100000000000,100000000000]' in charge.lines
    else:
        assert charge.price == bill > 0


async def only_charge(house: House) -> Charge:
    await house.settled()
    (charge,) = house.charges()
    assert charge.completeness == "exact"
    assert charge.paid == charge.price
    return charge


async def test_more_than_is_set_is_charged_all_the_same(tmp_path: Path) -> None:
    """A bound is what is held; what the provider bills above it is overage, and paid."""
    settings = {"providers": {"gemini": {"bounds": {"tools.codeExecution": {"input_tokens": 10}}}}}

    async def runs_long(house: House, secret: str) -> None:
        headers = {"x-goog-api-key": secret}
        body = {
            "contents": [{"parts": [{"text": "hi sim:tool_use=900000 sim:output=9"}]}],
            "tools": [{"codeExecution": {}}],
            "generationConfig": {"maxOutputTokens": 16},
        }
        answer = await house.http.post(f"{house.url}/v1beta/models/gemini-2.5-flash:generateContent", headers=headers, json=body)
        assert answer.status_code == 200, answer.text

    async with open_house(tmp_path, settings) as house:
        await runs_long(house, await house.customer("5.00", "5.00"))
        charge = await only_charge(house)
        assert charge.price == int((await house.sim_calls())[-1]["nano"])
        held = house.rows("SELECT amount FROM holds")
        assert charge.price > max(amount for (amount,) in held)


async def test_what_is_set_is_what_is_held(tmp_path: Path) -> None:
    """A million tokens of gpt-5.4 do not fit a cent, whatever the request is like; a hundred do."""
    for tokens, fits in ((1_000_000, False), (100, True)):
        folder = tmp_path / str(tokens)
        folder.mkdir()
        async with open_house(folder, {"providers": {"openai": {"bounds": {"tools.mcp": {"input_tokens": tokens}}}}}) as house:
            client = house.openai(await house.customer("0.05", "0.05"), max_retries=0).responses
            asked = client.create(model="gpt-5.4", input="hi", tools=[_MCP], max_output_tokens=64)
            if fits:
                assert (await asked).output_text
            else:
                with pytest.raises(openai.APIStatusError) as refused:
                    await asked
                assert refused.value.status_code == 402


async def test_a_quote_knows_what_is_admitted(tmp_path: Path) -> None:
    """The dry run of a call holds nothing and tells the fee with the rest."""
    settings = {"providers": {"openai": {"bounds": {"web_search_options": {"fee_usd": "0.25"}}}}}
    async with open_house(tmp_path, settings) as house:
        told = await house.chat(await house.customer(), headers={"x-farebox-dry-run": "1"}, web_search_options={}, max_tokens=10)
        assert told.status_code == 200, told.text
        assert not await house.sim_calls()
        assert "0.25" in told.text


async def test_a_file_that_is_somebody_elses_is_refused_though_files_are_admitted(tmp_path: Path) -> None:
    """It does not exist, as far as the caller is told."""
    settings = {"providers": {"openai": {"bounds": {"input.content.input_file": {"input_tokens": 1000}}}}}
    async with open_house(tmp_path, settings) as house:
        part: Any = {"type": "input_file", "file_id": "file-of-another"}
        client = house.openai(await house.customer(), max_retries=0).responses
        with pytest.raises(openai.NotFoundError):
            await client.create(model="gpt-5.4", input=[{"role": "user", "content": [part]}])
        assert not await house.sim_calls()


def test_the_line_can_be_written_into_a_file_that_has_the_section(tmp_path: Path) -> None:
    """Below the key, where the message says; a name that could be none is an error."""
    file = tmp_path / "farebox.toml"
    file.write_text('[providers.openai]\napi_key = "k"\nbounds."tools.mcp".input_tokens = 20000\n', "utf-8")
    assert load(file).settings.providers["openai"].bounds["tools.mcp"].input_tokens == 20_000
    for wrong in (
        'bounds."tools mcp".input_tokens = 1',
        'bounds.a.fee_usd = "-1"',
        'bounds.a.fee_usd = "much"',
        "bounds.a.input_token = 1",
    ):
        file.write_text(f'[providers.openai]\napi_key = "k"\n{wrong}\n', "utf-8")
        with pytest.raises(Exception, match=r"providers\.openai\.bounds"):
            load(file)
