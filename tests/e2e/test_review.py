"""What a reader with fresh eyes found: each was possible once."""

import asyncio
import gzip
import json
from pathlib import Path

from farebox.clock import wall_clock
from farebox.control.imports import below_cost
from farebox.dialects import DIALECTS
from farebox.dialects.routes import match
from farebox.gateway.attempt import Caller
from farebox.gateway.quote import Quoter
from farebox.ledger.model import Account, Key
from farebox.ledger.plan import Policy
from farebox.pricing.book import PriceBook
from farebox.pricing.rows import PriceRow
from farebox.providers.catalogue import Catalogue, describe
from farebox.store.reading import Books
from support.house import House, open_house


async def test_a_run_ceiling_without_a_run_is_refused(house: House) -> None:
    """A cap that would be ignored is an error, not silence."""
    secret = await house.customer()
    before = house.books()
    answer = await house.chat(secret, headers={"x-farebox-run-max-cost": "0.01"})
    assert (answer.status_code, answer.headers["x-farebox-reason"]) == (400, "invalid_request")
    assert "x-farebox-run" in answer.json()["error"]["message"]
    assert house.books() == before


async def test_a_beta_that_moves_the_payer_is_seen_in_a_repeated_header(house: House) -> None:
    """All values of a repeated header go upstream, so all of them are read."""
    secret = await house.customer()
    headers = [
        ("x-api-key", secret),
        ("anthropic-version", "2023-06-01"),
        ("anthropic-beta", "a"),
        ("anthropic-beta", "user-profiles-2026"),
    ]
    body = {"model": "claude-sonnet-5-5", "max_tokens": 8, "messages": [{"role": "user", "content": "hi"}]}
    answer = await house.http.post(f"{house.url}/v1/messages", headers=headers, json=body)
    assert (answer.status_code, answer.headers["x-farebox-reason"]) == (400, "cost_unbounded")


async def test_a_compressed_error_about_the_operators_account_is_not_the_callers(tmp_path: Path) -> None:
    """A host that compresses unasked is read all the same: 503, not somebody else's 429, and not unreadable bytes."""
    error = {"error": {"message": "quota", "type": "insufficient_quota", "param": None, "code": "insufficient_quota"}}
    body = gzip.compress(json.dumps(error).encode())
    head = f"HTTP/1.1 429 Too Many\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: {len(body)}\r\n\r\n"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, open_house(tmp_path, sim_url=f"http://127.0.0.1:{port}") as house:
        refused = await house.chat(await house.customer())
        assert (refused.status_code, refused.headers["x-farebox-reason"]) == (503, "upstream_account")
        assert [charge.price for charge in house.charges()] == [0]


def _row(model: str, unit: str, usd_per_million: int, above: int = 0) -> PriceRow:
    return PriceRow("openai", model, unit, above, "default", "standard", "global", 0, usd_per_million * 10**6, 0, None, "test", 0)


def test_a_flat_own_price_below_a_tier_of_the_provider_is_below_cost() -> None:
    """What the own price would charge at each tier is compared, not rows that happen to have the same tier."""
    listed = PriceBook(1, (), [_row("m", "in_text_uncached", 3), _row("m", "in_text_uncached", 6, 200_000), _row("m", "out_text", 15)])
    own = [_row("m", "in_text_uncached", 4), _row("m", "out_text", 15)]
    assert below_cost(listed, own) == ["openai/m in_text_uncached"]
    assert below_cost(listed, [_row("m", "in_text_uncached", 6), _row("m", "out_text", 15)]) == []


def test_a_free_model_still_counts_its_tokens() -> None:
    """A price of zero is a price; a budget in tokens binds all the same."""
    book = PriceBook(1, (), [_row("gratis", "in_text_uncached", 0), _row("gratis", "out_text", 0)])
    account = Account("acc_1", "acc_1", "acc_1", 0)
    policy = Policy(Key("key_1", "acc_1", "acc_1", "hash", "label", 0), (account,), (), (), 1)
    body = json.dumps({"model": "gratis", "max_tokens": 32_000, "messages": [{"role": "user", "content": "hi"}]}).encode()
    quoter = Quoter(Catalogue([describe("openai", "sk")]), default_output=8192, least_output=256)
    ask = DIALECTS["openai"].ask(match("POST", "/v1/chat/completions", []), body, {})
    plan = quoter.plan(policy, ask, Caller(), Books(1, book, {}), wall_clock())
    assert plan.bound.at(32_000).price == 0
    assert plan.bound.at(32_000).tokens > 32_000
