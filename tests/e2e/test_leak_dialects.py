"""The leak drill in every dialect, and in all of them at once on one wallet: a stolen key costs at most its cap, whatever it speaks."""

import asyncio
import contextlib
import random
from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import pytest

from farebox.money import parse_usd
from support.house import House, charged_by_id, nano_by_id

CLIENTS = 64
SIZES = (20, 400, 1500)
"""Output tokens, or characters, or words, of a call; the smallest first."""

_ODD = "a1 b2 "
"""More tokens by the model's own tokenizer than the simulator counts, which knows none: else what is counted at the end would be too little."""


class Call(msgspec.Struct):
    """One request of a shape."""

    path: str
    body: dict[str, Any]
    header: str = "authorization"


def _text(size: int, words: str) -> str:
    return f"take sim:output={size} {words}".strip()


def _said(size: int, words: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": _text(size, words)}]


def _chat(size: int, *, stream: bool, words: str = "") -> Call:
    return Call(
        "/v1/chat/completions", {"model": "gpt-4o", "messages": _said(size, words), "max_completion_tokens": size, "stream": stream}
    )


def _response(size: int, *, stream: bool, words: str = "") -> Call:
    return Call("/v1/responses", {"model": "gpt-5.4", "input": _said(size, words), "max_output_tokens": size, "stream": stream})


def _message(size: int, *, stream: bool, words: str = "") -> Call:
    return Call(
        "/v1/messages", {"model": "claude-sonnet-5-5", "messages": _said(size, words), "max_tokens": size, "stream": stream}, "x-api-key"
    )


def _gemini(size: int, *, stream: bool, words: str = "") -> Call:
    asked = {"contents": [{"role": "user", "parts": [{"text": _text(size, words)}]}], "generationConfig": {"maxOutputTokens": size}}
    method = "streamGenerateContent" if stream else "generateContent"
    return Call(f"/v1beta/models/gemini-2.5-pro:{method}", asked, "x-goog-api-key")


def _completion(size: int, *, stream: bool, words: str = "") -> Call:
    asked = {"model": "gpt-3.5-turbo-instruct", "prompt": _text(size, words), "max_tokens": size, "stream": stream}
    return Call("/v1/completions", asked)


def _embedding(size: int, *, stream: bool) -> Call:
    return Call("/v1/embeddings", {"model": "text-embedding-3-large", "input": [_ODD * 170] * (size // 20)})


def _speech(size: int, *, stream: bool) -> Call:
    return Call("/v1/audio/speech", {"model": "tts-1-hd", "voice": "alloy", "input": "w" * size})


def _picture(size: int, *, stream: bool) -> Call:
    asked = {"model": "gpt-image-1", "prompt": "a cat", "quality": "low" if size < 100 else "medium", "size": "1024x1024", "stream": stream}
    return Call("/v1/images/generations", asked)


def _voice(size: int, *, stream: bool) -> Call:
    path = "/v1/text-to-speech/21m00Tcm4TlvDq8ikWAM" + ("/stream" if stream else "")
    return Call(path, {"text": "w" * size, "model_id": "eleven_multilingual_v2"}, "xi-api-key")


def _converse(size: int, *, stream: bool, words: str = "") -> Call:
    asked = {"messages": [{"role": "user", "content": [{"text": _text(size, words)}]}], "inferenceConfig": {"maxTokens": size}}
    return Call(f"/model/us.anthropic.claude-opus-5-5/{'converse-stream' if stream else 'converse'}", asked)


SHAPES: dict[str, Callable[..., Call]] = {
    "chat": _chat,
    "responses": _response,
    "messages": _message,
    "gemini": _gemini,
    "completions": _completion,
    "embeddings": _embedding,
    "speech": _speech,
    "images": _picture,
    "elevenlabs": _voice,
    "bedrock": _converse,
}
CAPS = {"completions": "0.05", "embeddings": "0.01", "speech": "0.30", "images": "1.00", "elevenlabs": "0.50", "bedrock": "0.30"}


class Thief(msgspec.Struct):
    """Calls of random shapes and sizes, streamed and not, some left in the middle, until every shape is refused for money at its smallest."""

    house: House
    secret: str
    shapes: tuple[str, ...]
    lies: dict[str, str] = {}
    """What the provider does, where a shape has words for it."""
    refused: int = 0
    chance: random.Random = msgspec.field(default_factory=lambda: random.Random(7))

    def headers(self, call: Call) -> dict[str, str]:
        value = f"Bearer {self.secret}" if call.header == "authorization" else self.secret
        return {call.header: value, "anthropic-version": "2023-06-01"}

    async def client(self) -> None:
        left, small = list(self.shapes), False
        while left:
            shape = self.chance.choice(left)
            size = SIZES[0] if small else self.chance.choice(SIZES)
            status, reason = await self.call(SHAPES[shape](size, stream=self.chance.random() < 0.5, **self.lies))
            assert status in (0, 200, 402, 429), (shape, size, status, reason)
            if status not in (402, 429):
                continue
            self.refused += 1
            if small and reason != "held":
                left.remove(shape)
            small = True

    async def call(self, call: Call) -> tuple[int, str]:
        leaves = self.chance.random() < 0.2
        with contextlib.suppress(httpx.HTTPError):
            async with self.house.http.stream("POST", self.house.url + call.path, headers=self.headers(call), json=call.body) as answer:
                if leaves and answer.status_code == 200:
                    return 200, ""
                await answer.aread()
                return answer.status_code, answer.headers.get("x-farebox-reason", "")
        return 0, ""

    async def run(self) -> None:
        await asyncio.gather(*(self.client() for _ in range(CLIENTS)))
        await self.house.settled()

    async def smallest_quote(self) -> int:
        """Of the smallest call of each shape, the cheapest."""
        least = []
        for shape in self.shapes:
            call = SHAPES[shape](SIZES[0], stream=False)
            headers = {**self.headers(call), "x-farebox-dry-run": "1"}
            answer = await self.house.http.post(self.house.url + call.path, headers=headers, json=call.body)
            least.append(parse_usd(answer.json()["least_usd"]))
        return min(least)


async def _drill(house: House, cap: str, shapes: tuple[str, ...]) -> None:
    account = await house.account("5.00")
    secret, other = await house.key(account, cap), await house.key(account, "0.005")
    thief = Thief(house, secret, shapes)
    await thief.run()
    billed, charges = nano_by_id(await house.sim_calls()), charged_by_id(house.charges())
    assert {call: charges[call].price for call in billed} == billed
    assert {charges[call].completeness for call in billed} == {"exact"}
    key = house.key_id(secret)
    paid, written_off = house.rows("SELECT sum(paid), sum(written_off) FROM charges WHERE key = ?", key)[0]
    held = house.rows("SELECT price_held FROM windows WHERE counter = ?", f"{key}/lifetime")[0][0]
    assert sum(billed.values()) == paid <= parse_usd(cap)
    assert (written_off, held) == (0, 0)
    assert parse_usd(cap) - paid < await thief.smallest_quote()
    assert thief.refused >= CLIENTS
    assert (await house.chat(other, max_tokens=5)).status_code == 200


@pytest.mark.timeout(170)
@pytest.mark.parametrize("lie", ["sim:usage=missing", "sim:ignore_cap=1"])
@pytest.mark.parametrize("shape", ["responses", "messages", "gemini", "bedrock"])
async def test_with_a_provider_that_lies_the_cap_still_holds(house: House, shape: str, lie: str) -> None:
    """Charge and write-off together cover the bill of every call; what is paid never exceeds the cap. (Of chat, `test_leak.py` says so.)"""
    secret = await house.key(await house.account("5.00"), "0.10")
    await Thief(house, secret, (shape,), {"words": lie}).run()
    billed, charges = nano_by_id(await house.sim_calls()), charged_by_id(house.charges())
    for call, nano in billed.items():
        assert charges[call].paid + charges[call].written_off >= nano
    paid, written_off = house.rows("SELECT sum(paid), sum(written_off) FROM charges")[0]
    assert paid + written_off >= sum(billed.values()) > 0
    assert paid <= parse_usd("0.10")


@pytest.mark.timeout(170)
@pytest.mark.parametrize("shape", SHAPES)
async def test_a_stolen_key_costs_at_most_its_cap(house: House, shape: str) -> None:
    """Every billed call has one charge, equal to the nano-dollar; nothing held; less is left than the smallest quote; another key works."""
    await _drill(house, CAPS.get(shape, "0.10"), (shape,))


@pytest.mark.timeout(170)
async def test_a_stolen_key_costs_at_most_its_cap_in_all_dialects_at_once(house: House) -> None:
    """All of them on one wallet."""
    await _drill(house, "1.00", tuple(SHAPES))
