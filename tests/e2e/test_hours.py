"""Prices by the hour of the day, at hours of a test's choosing: the gateway's clock and the provider's both say that it is then."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache, partial
from pathlib import Path

import pytest

from farebox.app import Running
from farebox.clock import US_PER_DAY, US_PER_MINUTE, US_PER_S, from_rfc3339, wall_clock
from farebox.dialects.base import Report
from farebox.dialects.routes import match
from farebox.gateway.attempt import Attempt, Caller, Plan, Timings
from farebox.gateway.quote import Quoter
from farebox.gateway.settle import result_of
from farebox.ledger.model import Account, Key
from farebox.ledger.plan import Policy
from farebox.pricing.book import PriceBook
from farebox.pricing.importer import from_genai_prices
from farebox.providers.catalogue import Catalogue, describe
from farebox.sim.site import Site
from farebox.store.reading import Books
from farebox.usage import IN_TEXT, Usage
from support.house import House, open_house

ASKS = ("sim:output=6 sim:reasoning=40 sim:cached=3", "again " * 100 + "sim:output=200 sim:cached=90")


@asynccontextmanager
async def house_at(folder: Path, minute: int, patch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    """A house and its provider in a world that is ahead by less than a day: there it is that minute of the day, UTC."""
    async with open_house(folder):
        pass  # its store is filled, in this world
    ahead = (minute * US_PER_MINUTE - wall_clock()) % US_PER_DAY
    patch.setattr("support.house.Running", partial(Running, clock=lambda: wall_clock() + ahead))
    patch.setattr("farebox.sim.server.Site", partial(Site, clock=lambda: time.time() + ahead / US_PER_S))

    def settings(url: str) -> dict[str, object]:
        return {"providers": {"deepseek": {"api_key": "sk-upstream", "base_url": f"{url}/deepseek/v1"}}}

    async with open_house(folder, settings) as house:
        yield house


@pytest.mark.parametrize(
    ("minute", "chat", "reasoner", "flash"),
    [
        (10, 135_000, 135_000, 150_000),
        (2 * 60, 270_000, 550_000, 300_000),
        (5 * 60, 270_000, 550_000, 150_000),
        (12 * 60, 270_000, 550_000, 150_000),
        (20 * 60, 135_000, 135_000, 150_000),
    ],
)
async def test_every_hour_is_charged_as_it_is_billed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, minute: int, chat: int, reasoner: int, flash: int
) -> None:
    """To the nano-dollar, whole and streamed; the lines have the price of an input token at that hour, whatever was held for."""
    each = {"deepseek-chat": chat, "deepseek-reasoner": reasoner, "deepseek-v4-flash": flash}
    async with house_at(tmp_path, minute, monkeypatch) as house:
        secret = await house.customer("50.00", None)
        for model in each:
            for text in ASKS:
                for stream in (False, True):
                    answer = await house.chat(secret, text, model=f"deepseek/{model}", max_tokens=400, stream=stream)
                    assert answer.status_code == 200, answer.text
        charges = await house.agree_with(len(each) * len(ASKS) * 2)
        assert {(charge.completeness, charge.flags) for charge in charges} == {("exact", "")}
        lines = {(charge.model, *line[::2]) for charge in charges for line in json.loads(charge.lines) if line[0] == IN_TEXT}
        assert lines == {(model, IN_TEXT, pico) for model, pico in each.items()}


@cache
def book() -> PriceBook:
    imported = from_genai_prices(0)
    return PriceBook(1, imported.models, imported.prices)


def plan_at(quoted_at: int) -> Plan:
    """A chat call as it is quoted at a moment."""
    account = Account("acc_1", "acc_1", "acc_1", 0)
    policy = Policy(Key("key_1", "acc_1", "acc_1", "hash", "label", 0), (account,), (), (), 1)
    quoter = Quoter(Catalogue([describe("deepseek", "sk")]), default_output=8192, least_output=256)
    body = json.dumps({"model": "deepseek/deepseek-chat", "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}]}).encode()
    ask = quoter.read(match("POST", "/v1/chat/completions", []), body, {})
    return quoter.plan(policy, ask, Caller(), Books(1, book(), {}), quoted_at)


@pytest.mark.parametrize(
    ("quoted", "ended", "each"),
    [
        ("16:29:59.999999", "16:30:00", 270_000),
        ("16:30:00", "16:30:00", 135_000),
        ("16:30:00", "23:59:59", 135_000),
        ("00:29:00", "00:29:59.999999", 135_000),
        ("00:29:00", "00:30:00", 270_000),
    ],
)
def test_a_call_over_an_edge_of_the_hours_is_charged_the_dearer_of_both(quoted: str, ended: str, each: int) -> None:
    """From the quote until it is settled: whichever moment of it the provider bills by, the charge is not below. Other models beside too."""
    began, now = (from_rfc3339(f"2026-11-21T{clock}Z") for clock in (quoted, ended))
    attempt = Attempt("hold_11", 1, plan_at(began), Timings(received_at=began))
    attempt.stage = "forwarded"
    beside = Usage({IN_TEXT: 2}, 2, "deepseek-chat")
    for others, times in (((), 1), ((beside,), 2)):
        attempt.report = Report(Usage({IN_TEXT: 2}, 2, others=others), finished=True)
        result = result_of(attempt, now)
        assert result is not None
        assert (result.price, result.cost) == (times * 2 * each // 1_000, times * 2 * each // 1_000)
        assert attempt.plan.bound.at(10).price == plan_at(from_rfc3339("2026-11-21T12:00:00Z")).bound.at(10).price
