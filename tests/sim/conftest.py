"""One simulator per test, on the test's own loop, and callers for it: the real SDKs, a plain HTTP client, bare sockets."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import anthropic
import httpx
import openai
import pytest

from farebox.sim import Server, serve

Row = dict[str, Any]
Connect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


@pytest.fixture
async def sim() -> AsyncIterator[Server]:
    server = await serve()
    yield server
    await server.close()


@pytest.fixture
async def http(sim: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=sim.url, headers={"authorization": "Bearer any"}, timeout=20) as client:
        yield client


@pytest.fixture
async def chat(sim: Server) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{sim.url}/v1", api_key="any", max_retries=0, timeout=20) as client:
        yield client


@pytest.fixture
async def claude(sim: Server) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(base_url=sim.url, api_key="any", max_retries=0, timeout=20) as client:
        yield client


@pytest.fixture
def rows(http: httpx.AsyncClient) -> Callable[..., Awaitable[list[Row]]]:
    """Every call's row, once none of them is open any more."""

    async def settled(**query: str) -> list[Row]:
        while True:
            answer = await http.get("/sim/calls", params=query)
            found: list[Row] = answer.raise_for_status().json()["data"]
            if not any(row["open"] for row in found):
                return found

    return settled


@pytest.fixture
async def connect(sim: Server) -> AsyncIterator[Connect]:
    """Bare connections to the simulator, closed at the end of the test."""
    async with AsyncExitStack() as stack:

        async def opened() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            reader, writer = await asyncio.open_connection("127.0.0.1", sim.port, limit=2**26)
            stack.callback(writer.close)
            return reader, writer

        yield opened
