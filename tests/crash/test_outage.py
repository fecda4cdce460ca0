"""A gateway process ends in the middle of an outage, killed or told to: the next one books what its calls came to."""

import asyncio
import json
import signal
from pathlib import Path

import httpx
import pytest

from crash.gateways import WAIT_S, Gateways
from crash.test_kill import SECRET, bill, booked, seed
from farebox import sim

STREAMS = 12
pytestmark = pytest.mark.timeout(600)


async def stream(http: httpx.AsyncClient, url: str, name: str, begun: asyncio.Semaphore) -> str:
    """One call to its end."""
    words = f"sim:bill={name} sim:output=25 sim:pace=20"
    body = {"model": "gpt-4o-mini", "max_tokens": 64, "stream": True, "messages": [{"role": "user", "content": words}]}
    headers = {"authorization": f"Bearer {SECRET}", "x-farebox-user": name}
    text = ""
    async with http.stream("POST", f"{url}/v1/chat/completions", headers=headers, json=body) as answer:
        async for piece in answer.aiter_text():
            if not text:
                begun.release()
            text += piece
    return text


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "stopped"])
async def test_a_process_that_ends_before_the_ledger_is_back_leaves_its_charges_to_the_next(
    tmp_path: Path, gateways: Gateways, how: signal.Signals
) -> None:
    """On a full disk, and a journal's disk that forgets what was not synced: every stream had its end, every charge is exact, none is the hold."""
    simulator = await sim.serve("127.0.0.1", 0)
    seed(tmp_path)
    begun = asyncio.Semaphore(0)
    async with httpx.AsyncClient(timeout=WAIT_S) as http:
        process, url = await gateways.start(tmp_path, simulator.url, "failing")
        assert process.stdout is not None
        streams = [asyncio.ensure_future(stream(http, url, f"c{number}", begun)) for number in range(STREAMS)]
        for _ in streams:
            await begun.acquire()
        process.send_signal(signal.SIGUSR1)
        assert await process.stdout.readline() == b"full\n"
        texts = await asyncio.gather(*streams)
        ready = await http.get(f"{url}/readyz")
        alive = await http.get(f"{url}/healthz")
        refused = await http.post(
            f"{url}/v1/chat/completions",
            headers={"authorization": f"Bearer {SECRET}"},
            content=json.dumps({"model": "gpt-4o-mini", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}),
        )
        process.send_signal(how)
        await asyncio.wait_for(process.wait(), WAIT_S)
        process, _ = await gateways.start(tmp_path, simulator.url)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), WAIT_S) == 0
        billed = await bill(http, simulator.url)
    await simulator.close()
    assert all(text.rstrip().endswith("data: [DONE]") for text in texts)
    assert (ready.status_code, ready.json()["reason"], alive.status_code) == (503, "ledger_unavailable", 200)
    assert (refused.status_code, refused.headers["x-farebox-reason"]) == (503, "ledger_unavailable")
    calls = booked(tmp_path)
    assert calls.keys() == billed.keys() == {f"c{number}" for number in range(STREAMS)}
    for name, (state, price, paid, _, completeness, _) in calls.items():
        assert (state, completeness, price, paid) == ("captured", "exact", billed[name], billed[name])
