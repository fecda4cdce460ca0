"""Keys that the simulated providers refuse."""

import httpx

from farebox.sim import Server

CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}


async def test_a_key_that_was_named_is_refused_until_it_is_taken_again(sim: Server) -> None:
    """With the status and code that were said, in the dialect's shape, on no bill; other keys are taken as ever."""
    async with httpx.AsyncClient(base_url=sim.url, timeout=20) as http:
        dead, other = {"authorization": "Bearer dead"}, {"authorization": "Bearer other"}
        await http.post("/sim/keys", params={"key": "dead", "status": "429", "code": "insufficient_quota"})
        refused = await http.post("/v1/chat/completions", json=CHAT, headers=dead)
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "insufficient_quota")
        claude = await http.post("/v1/messages", json={}, headers={"x-api-key": "dead"})
        assert (claude.status_code, claude.json()["type"]) == (429, "error")
        assert (await http.get("/v1/models", headers=dead)).status_code == 429
        assert (await http.post("/v1/chat/completions", json=CHAT, headers=other)).status_code == 200
        await http.post("/sim/keys", params={"key": "dead"})
        assert (await http.post("/v1/chat/completions", json=CHAT, headers=dead)).status_code == 200
        assert [row["status"] for row in (await http.get("/sim/calls")).json()["data"]] == [200, 200]
        await http.post("/sim/keys", params={"key": "dead", "status": "401"})
        await http.post("/sim/reset")
        assert (await http.post("/v1/chat/completions", json=CHAT, headers=dead)).status_code == 200


async def test_only_a_key_and_an_error_status_are_taken(sim: Server) -> None:
    """Anything else is refused, so that a misspelt test fails loudly."""
    async with httpx.AsyncClient(base_url=sim.url, timeout=20) as http:
        for params in ({}, {"key": "a", "status": "200"}, {"key": "a", "status": "x"}, {"status": "401"}):
            assert (await http.post("/sim/keys", params=params)).status_code == 400
