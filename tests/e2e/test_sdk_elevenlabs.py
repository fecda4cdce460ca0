"""The unmodified `elevenlabs` SDK through the gateway: the same sound as straight at the provider, charged what it billed."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from elevenlabs.client import AsyncElevenLabs, ElevenLabs
from elevenlabs.core.api_error import ApiError

from farebox.money import format_usd
from support.house import House, charged_by_id
from support.joined import calls

VOICE = "JBFqnCBsd6RMkjVDRZzb"
MODELS = ("eleven_flash_v2_5", "eleven_multilingual_v2", "eleven_v3", "eleven_turbo_v2_5")
TEXTS = ("Hello there.", "An odd number of characters", "Grüße ☃ und Küsse", "A long one, in several pieces. " * 9)
Make = Callable[..., AsyncElevenLabs]


@pytest.fixture
async def speaker(house: House) -> AsyncIterator[Make]:
    """Makes clients of the gateway, or of another address."""
    async with httpx.AsyncClient(timeout=20) as connections:
        yield lambda secret, url=house.url: AsyncElevenLabs(api_key=secret, base_url=url, httpx_client=connections)


async def in_every_way(client: AsyncElevenLabs, text: str, model: str, **more: Any) -> list[Any]:
    """Whole, streamed, and both with timestamps."""
    speech, asked = client.text_to_speech, {"text": text, "model_id": model, **more}
    return [
        b"".join([piece async for piece in speech.convert(VOICE, **asked)]),
        b"".join([piece async for piece in speech.stream(VOICE, **asked)]),
        (await speech.convert_with_timestamps(VOICE, **asked)).model_dump(),
        [line.model_dump() async for line in speech.stream_with_timestamps(VOICE, **asked)],
    ]


async def test_sound_is_the_providers_own_and_costs_what_it_bills(house: House, speaker: Make) -> None:
    """Every model, every way, in other formats too: to the nano-dollar, without an oddity."""
    through, straight = speaker(await house.customer("50.00", None)), speaker("any", house.sim.url)
    for model in MODELS:
        for text in TEXTS:
            assert await in_every_way(through, text, model) == await in_every_way(straight, text, model)
    form: Any = {"output_format": "pcm_16000", "enable_logging": False, "seed": 7, "language_code": "en"}
    assert await in_every_way(through, "As samples.", MODELS[0], **form) == await in_every_way(straight, "As samples.", MODELS[0], **form)
    charges = await house.agree_with(4 * (len(MODELS) * len(TEXTS) + 1))
    assert {(charge.completeness, charge.flags) for charge in charges} == {("exact", "")}
    assert {charge.provider for charge in charges} == {"elevenlabs"}


async def test_a_plain_client_speaks_too(house: House) -> None:
    """Without an event loop of its own."""
    secret = await house.customer()

    def speak() -> bytes:
        with httpx.Client(timeout=20) as connections:
            client = ElevenLabs(api_key=secret, base_url=f"{house.url}/elevenlabs", httpx_client=connections)
            return b"".join(client.text_to_speech.convert(VOICE, text="Hello there.", model_id=MODELS[0]))

    assert (await asyncio.to_thread(speak)).startswith(b"\xff\xfb")
    await house.agree_with(1)


async def test_the_model_that_is_held_for_is_the_one_that_speaks(house: House, speaker: Make) -> None:
    """A request that names none gets the default by name; one that names its provider too is understood."""
    through = speaker(await house.customer())
    for more in ({}, {"model_id": "elevenlabs/eleven_flash_v2_5"}):
        async for _ in through.text_to_speech.convert(VOICE, text="Hello", **more):
            pass
    assert [row["model"] for row in await house.sim_calls()] == ["eleven_multilingual_v2", "eleven_flash_v2_5"]
    await house.agree_with(2)


async def test_no_money_is_said_once(house: House, speaker: Make) -> None:
    """One attempt, an ApiError with our words; nothing moved and nothing was sent on."""
    through = speaker(await house.customer("0.01"))
    before = house.books()
    for speak in (through.text_to_speech.convert, through.text_to_speech.stream, through.text_to_speech.stream_with_timestamps):
        with pytest.raises(ApiError) as refused:
            async for _ in speak(VOICE, text="x" * 2000, model_id="eleven_v3"):
                pass
        assert (refused.value.status_code, refused.value.body["detail"]["status"]) == (402, "quota_exceeded")
        assert "available $0.01" in refused.value.body["detail"]["message"]
    assert len(house.seen) == 3
    assert (house.books(), await house.sim_calls()) == (before, [])


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({"model_id": "eleven_nobody"}, 403, "has no price"),
        ({"previous_request_ids": ["abc"]}, 400, "previous_request_ids"),
        ({"pronunciation_dictionary_locators": [{"pronunciation_dictionary_id": "a", "version_id": "b"}]}, 400, "locators"),
        ({"text": " "}, 400, "text"),
    ],
)
async def test_what_cannot_be_bounded_is_refused(house: House, speaker: Make, fields: dict[str, Any], status: int, words: str) -> None:
    """By name, before anything is held or sent."""
    through = speaker(await house.customer())
    before = house.books()
    with pytest.raises(ApiError) as refused:
        async for _ in through.text_to_speech.convert(VOICE, **{"text": "hi", **fields}):
            pass
    assert refused.value.status_code == status
    assert words in refused.value.body["detail"]["message"]
    assert (house.books(), await house.sim_calls()) == (before, [])


async def test_models_are_listed_and_other_routes_are_not_there(house: House, speaker: Make) -> None:
    """In the provider's own shape; a wrong key is told as the SDK knows it."""
    through = speaker(await house.customer("0.00"))
    assert {"eleven_v3", "eleven_flash_v2_5"} <= {model.model_id for model in await through.models.list()}
    for missing in (through.voices.get_all, through.user.get):
        with pytest.raises(ApiError) as refused:
            await missing()
        assert (refused.value.status_code, refused.value.body["detail"]["status"]) == (404, "not_found")
    with pytest.raises(ApiError) as refused:
        await speaker("fbx_nobody").models.list()
    assert (refused.value.status_code, refused.value.body["detail"]["status"]) == (401, "invalid_api_key")
    assert not house.charges()


async def test_errors_of_the_provider_pass_and_cost_nothing(house: House, speaker: Make) -> None:
    """Except the operator's own trouble with it, which is not the caller's."""
    through = speaker(await house.customer())
    for status, told in ((400, 400), (404, 404), (401, 503)):
        with pytest.raises(ApiError) as failed:
            async for _ in through.text_to_speech.stream(VOICE, text=f"hi sim:status={status}", request_options={"max_retries": 0}):
                pass
        assert failed.value.status_code == told
    await house.settled()
    assert {(charge.price, charge.outcome) for charge in house.charges()} == {(0, "released")}


async def test_sound_that_is_cut_breaks_off_and_costs_what_its_head_said(house: House, speaker: Make) -> None:
    """Nobody takes a part for the whole."""
    through = speaker(await house.customer())
    for speak in (through.text_to_speech.convert, through.text_to_speech.stream, through.text_to_speech.stream_with_timestamps):
        with pytest.raises(httpx.HTTPError):
            async for _ in speak(VOICE, text="Rather long. " * 20 + " sim:cut=2"):
                pass
    charges = await house.agree()
    assert [charge.completeness for charge in charges if charge.outcome != "released"] == ["exact"] * 3


@pytest.mark.parametrize(("how", "completeness"), [("missing", "estimated"), ("negative", "unknown"), ("zero", "exact")])
async def test_a_head_that_does_not_say_leaves_the_characters(house: House, speaker: Make, how: str, completeness: str) -> None:
    """At least what was billed; an explicit zero is zero."""
    through = speaker(await house.customer())
    for model in MODELS:
        await in_every_way(through, f"sim:bill=odd sim:usage={how} odd", model)
    for charge in await house.agree(but=("odd",) if how == "zero" else ()):
        assert (charge.completeness, charge.price > 0) == (completeness, how != "zero")


CALLS = calls(60)
AT_ONCE = 8
KINDS = ("", "/stream", "/with-timestamps", "/stream/with-timestamps")
ODD = ("usage=missing", "usage=negative", "garbage=html", "garbage=gzip")


@pytest.mark.parametrize("seed", [1, 20261121])
async def test_every_charge_is_the_bill(house: House, seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    """To the nano-dollar, cut or left too, wherever the head says what it billed; never below it where it does not."""
    secret, chance, room = await house.customer("900.00", None), random.Random(seed), asyncio.Semaphore(AT_ONCE)

    async def make(kind: str, body: dict[str, Any], *, leaves: bool) -> None:
        url = f"{house.url}/v1/text-to-speech/{VOICE}{kind}"
        async with room:
            try:
                async with house.http.stream("POST", url, headers={"xi-api-key": secret}, json=body) as answer:
                    async for _ in answer.aiter_raw():
                        if leaves:
                            break
            except httpx.HTTPError:
                return
            assert answer.status_code in (200, 502), body

    async with asyncio.TaskGroup() as group:
        for _ in range(CALLS):
            words = [chance.choice(ODD), "bill=odd"] if chance.random() < 0.15 else ["bill=even"]
            kind = chance.choice(KINDS)
            words += ["cut=1"] if kind.startswith("/stream") and chance.random() < 0.1 else []
            text = " ".join([*[f"sim:{word}" for word in words], chance.choice(("x", "é", "🚋")) * chance.randrange(1, 300)])
            body = {"text": text, **chance.choice(({}, {"model_id": chance.choice(MODELS)}))}
            group.create_task(make(kind, body, leaves=chance.random() < 0.2))
    await house.agree()
    charges, rows = charged_by_id(house.charges()), await house.sim_calls()
    assert len(rows) == len(house.charges()) == CALLS
    for row in rows:
        if row["label"] == "even":
            charge = charges[row["id"]]
            assert (charge.completeness, charge.price, charge.flags) == ("exact", int(row["nano"]), ""), (row, charge)
    over = sum(charge.price for charge in house.charges()) - sum(int(row["nano"]) for row in rows)
    assert over >= 0
    with capsys.disabled():
        print(f"\nelevenlabs: {CALLS} calls, charged ${format_usd(over)} more than was billed")


async def test_a_query_that_cannot_be_sent_costs_nothing(house: House) -> None:
    """It is refused before anything is held: what was never sent is not charged."""
    secret = await house.customer()
    async with httpx.AsyncClient(base_url=house.url, timeout=20) as client:
        path = f"/v1/text-to-speech/{VOICE}/stream?output_format=mp3_44100_128&output_format=pcm_16000"
        answer = await client.post(path, headers={"xi-api-key": secret}, json={"text": "hello", "model_id": MODELS[0]})
    assert answer.status_code == 400
    await house.settled()
    assert not house.charges()
