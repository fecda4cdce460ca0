"""Who calls: clients with streams and disconnects over several gateways, each call by a name of its own, and what each was told."""

import asyncio
import random
import ssl
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal

import httpx
import msgspec

from farebox.gateway.identify import hash_of
from farebox.ids import new_id
from farebox.money import parse_usd
from proof.cluster import Node

_NO_TLS = ssl.create_default_context()
_CALL_S_MAX = 60
_PAUSE_S = 0.05
AGAIN = (0, 429, 500, 502, 503, 504)
"""Answers after which a client tries again: none, and those of a gateway, a ledger or a wallet that is busy at the moment."""
Dialect = Literal["openai", "anthropic"]
_ENDS = {"openai": "data: [DONE]", "anthropic": "event: message_stop"}


class Shape(msgspec.Struct, frozen=True):
    """One kind of call. `cap` is the output that is asked for, `output` what the provider generates."""

    model: str
    cap: int
    output: int
    dialect: Dialect = "openai"
    stream: bool = False
    leaves: bool = False
    pace_ms: int = 0


class Told(msgspec.Struct):
    """One call as its client saw it. Times are this machine's, in µs."""

    name: str
    secret: str
    shape: Shape
    sent: int
    answered: int = 0
    status: int = 0
    reason: str = ""
    whole: bool = False
    """It was answered to its end."""
    retry_after: str = ""
    message: str = ""

    @property
    def hash(self) -> str:
        return hash_of(self.secret)


class Load:
    """All calls of a drill, and what was said to each."""

    def __init__(self, nodes: Sequence[Node], seed: int) -> None:
        self.nodes = nodes
        self.chance = random.Random(seed)
        self.told: list[Told] = []

    def told_of(self, *statuses: int) -> list[Told]:
        return [told for told in self.told if told.status in statuses]

    @asynccontextmanager
    async def running(self, secrets: Sequence[str], shapes: Sequence[Shape], clients: int) -> AsyncIterator[None]:
        """So many clients call without end, and end their last call when this does."""
        over = asyncio.Event()
        tasks = [asyncio.ensure_future(self._until(over, secrets, shapes)) for _ in range(clients)]
        try:
            yield
        finally:
            over.set()
            await asyncio.gather(*tasks)

    async def _until(self, over: asyncio.Event, secrets: Sequence[str], shapes: Sequence[Shape]) -> None:
        async with client() as http:
            while not over.is_set():
                told = await self.call(http, self.chance.choice(self.nodes), self.chance.choice(secrets), self.chance.choice(shapes))
                if told.status in AGAIN:
                    await asyncio.sleep(_PAUSE_S)

    async def call(self, http: httpx.AsyncClient, node: Node, secret: str, shape: Shape) -> Told:
        """One call, whatever becomes of it."""
        told = Told(new_id("c"), secret, shape, _now())
        self.told.append(told)
        url, headers, body = request_of(node, told)
        try:
            async with http.stream("POST", url, headers=headers, json=body) as answer:
                await self._read(told, answer)
        except httpx.HTTPError:
            told.answered = _now()
        return told

    async def _read(self, told: Told, answer: httpx.Response) -> None:
        text = ""
        async for piece in answer.aiter_text():
            text += piece
            if told.shape.leaves and answer.status_code == 200:
                break
        told.answered = _now()
        told.status = answer.status_code
        told.reason = answer.headers.get("x-farebox-reason", "")
        told.retry_after = answer.headers.get("retry-after", "")
        ended = text.rstrip()
        told.whole = (
            answer.status_code == 200 and not told.shape.leaves and (not told.shape.stream or _ENDS[told.shape.dialect] in ended[-200:])
        )
        if answer.status_code != 200:
            told.message = text

    async def quote(self, http: httpx.AsyncClient, secret: str, shape: Shape) -> int:
        """The most that a call may cost, in nano-dollars."""
        url, headers, body = request_of(self.nodes[0], Told(new_id("c"), secret, shape, 0))
        answer = await http.post(url, headers={**headers, "x-farebox-dry-run": "1"}, json=body)
        assert answer.status_code == 200, answer.text
        return parse_usd(answer.json()["worst_case_usd"])


def client() -> httpx.AsyncClient:
    """A client with connections of its own: one pool of hundreds would be busier looking through itself than calling."""
    return httpx.AsyncClient(timeout=_CALL_S_MAX, trust_env=False, verify=_NO_TLS)


def request_of(node: Node, told: Told) -> tuple[str, dict[str, str], dict[str, Any]]:
    """Where a call goes, and what is sent. Its name is on the provider's bill, and in the ledger as the caller's user."""
    shape = told.shape
    words = f"sim:bill={told.name} sim:output={shape.output}" + (f" sim:pace={shape.pace_ms}" if shape.pace_ms else "")
    body: dict[str, Any] = {"model": shape.model, "max_tokens": shape.cap, "messages": [{"role": "user", "content": words}]}
    if shape.stream:
        body["stream"] = True
    headers = {"x-farebox-user": told.name, "authorization": f"Bearer {told.secret}"}
    if shape.dialect == "anthropic":
        return f"{node.url}/v1/messages", {**headers, "anthropic-version": "2023-06-01"}, body
    return f"{node.url}/v1/chat/completions", headers, body


async def after(load: Load, answers: int, do: Callable[[], Any]) -> None:
    """Does something once so many calls were answered."""
    while sum(1 for told in load.told if told.answered) < answers:  # noqa: ASYNC110 - there is no event
        await asyncio.sleep(0.02)
    await do()


async def answered(load: Load, calls: int) -> None:
    """Returns when so many calls were answered, and none of them with a refusal, that were begun from now on."""
    before = len(load.told)
    while sum(1 for told in load.told[before:] if told.answered and told.status == 200) < calls:  # noqa: ASYNC110 - there is no event
        await asyncio.sleep(0.02)


def _now() -> int:
    return time.time_ns() // 1000
