"""What the simulator answers to the examples, byte for byte: true answers of every route, whole and streamed, for mutations to begin with.

Asked once in a test process. The simulator's answers do not depend on the time, so what is drawn from them can be drawn again.
"""

import asyncio
from functools import cache

import httpx
import msgspec

from farebox import sim
from fuzz.examples import Example
from fuzz.spoken import SPOKEN, Spoken

_CREDENTIALS = {"anthropic": "x-api-key", "gemini": "x-goog-api-key", "elevenlabs": "xi-api-key"}


class Recorded(msgspec.Struct, frozen=True):
    """One answer, and the request that it was given to."""

    example: Example
    status: int
    headers: dict[bytes, bytes]
    body: bytes


@cache
def answers() -> dict[str, tuple[Recorded, ...]]:
    """By what is spoken. Nothing is asked at a deployment: it answers as the model behind it."""
    return asyncio.run(_ask_all())


async def _ask_all() -> dict[str, tuple[Recorded, ...]]:
    server = await sim.serve()
    try:
        async with httpx.AsyncClient(base_url=server.url, timeout=30) as http:
            found = {one.name: [await _ask(http, one, example) for example in one.examples] for one in SPOKEN.values() if _asked(one)}
    finally:
        await server.close()
    return {name: tuple(given) for name, given in found.items()}


def _asked(one: Spoken) -> bool:
    return not one.name.endswith("@deployment") and one.route.kind != "owned"


async def _ask(http: httpx.AsyncClient, one: Spoken, example: Example) -> Recorded:
    ask = one.ask(example)
    body = one.dialect.rewrite(ask, example.body, model=None, output_cap=None)
    target = one.base + one.dialect.target(ask, one.route_of(example), ask.model, example.query)
    headers = {"content-type": example.content_type.decode(), _CREDENTIALS.get(one.route.dialect, "authorization"): "Bearer any"}
    answer = await http.post(target, content=body, headers=headers)
    return Recorded(example, answer.status_code, {name.lower(): value for name, value in answer.headers.raw}, answer.content)
