"""The leak drill: a stolen key, hammered by 64 clients with mixed sizes, streams, disconnects and retries until everything is refused."""

import asyncio
import contextlib
import random
from decimal import Decimal
from typing import Any

import httpx
import msgspec
import pytest

from farebox.money import parse_usd
from support.house import House, charged_by_id, nano_by_id

CLIENTS = 64


class Drill(msgspec.Struct):
    """What the thief does. `sizes` are output tokens; the smallest call is the first size."""

    house: House
    secret: str
    model: str
    sizes: tuple[int, ...]
    words: str = ""
    named: bool = True
    calls: int = 0
    refused: int = 0
    chance: random.Random = msgspec.field(default_factory=lambda: random.Random(7))

    def body(self, size: int, *, stream: bool) -> dict[str, Any]:
        text = f"take sim:output={size} {self.words}".strip()
        cap = {"max_tokens": size} if self.named else {}
        return {"model": self.model, "stream": stream, "messages": [{"role": "user", "content": text}], **cap}

    async def client(self) -> None:
        """Calls of any size until one is refused for money, then of the smallest, until that is refused too."""
        small = False
        while True:
            size = self.sizes[0] if small else self.chance.choice(self.sizes)
            status, reason = await self.call(size, stream=self.chance.random() < 0.5)
            if status == 402:
                self.refused += 1
                if small and reason != "held":
                    return
                small = True

    async def call(self, size: int, *, stream: bool) -> tuple[int, str]:
        self.calls += 1
        url, headers = f"{self.house.url}/v1/chat/completions", {"authorization": f"Bearer {self.secret}"}
        with contextlib.suppress(httpx.HTTPError):
            async with self.house.http.stream("POST", url, headers=headers, json=self.body(size, stream=stream)) as answer:
                if stream and answer.status_code == 200 and self.chance.random() < 0.3:
                    return 200, ""  # leaves in the middle
                await answer.aread()
                return answer.status_code, answer.headers.get("x-farebox-reason", "")
        return 0, ""

    async def run(self) -> None:
        await asyncio.gather(*(self.client() for _ in range(CLIENTS)))
        await self.house.settled()

    async def smallest_quote(self) -> int:
        answer = await self.house.http.post(
            f"{self.house.url}/v1/chat/completions",
            headers={"authorization": f"Bearer {self.secret}", "x-farebox-dry-run": "1"},
            json=self.body(self.sizes[0], stream=False),
        )
        return parse_usd(answer.json()["least_usd"])


def spent_by(house: House, secret: str) -> tuple[int, int, int]:
    """Paid, written off and held of a key."""
    key = house.key_id(secret)
    paid, off = house.rows("SELECT coalesce(sum(paid), 0), coalesce(sum(written_off), 0) FROM charges WHERE key = ?", key)[0]
    held = house.rows("SELECT price_held FROM windows WHERE counter = ?", f"{key}/lifetime")[0][0]
    return int(paid), int(off), int(held)


@pytest.mark.timeout(170)
@pytest.mark.parametrize(
    ("cap", "model", "sizes"),
    [
        ("0.0001", "gpt-oss-20b", (1, 40, 100)),
        ("0.05", "gpt-4o-mini", (20, 400, 1500)),
        ("1.00", "gpt-4o", (50, 400, 1500)),
        ("50.00", "gpt-5.5-pro", (100, 1000, 3000)),
    ],
)
async def test_a_stolen_key_costs_at_most_its_cap(house: House, cap: str, model: str, sizes: tuple[int, ...]) -> None:
    """Every billed call has one charge, equal to the nano-dollar; bill at most the cap; nothing held; less is left than the smallest quote."""
    account = await house.account(str(max(Decimal(cap) * 5, Decimal("0.01"))))
    secret, other = await house.key(account, cap), await house.key(account, "0.005")
    drill = Drill(house, secret, model, sizes)
    await drill.run()
    billed = nano_by_id(await house.sim_calls())
    charges = charged_by_id(house.charges())
    assert {call: charges[call].price for call in billed} == billed
    assert all(charges[call].completeness == "exact" for call in billed)
    paid, written_off, held = spent_by(house, secret)
    assert sum(billed.values()) == paid <= parse_usd(cap)
    assert (written_off, held) == (0, 0)
    assert parse_usd(cap) - paid < await drill.smallest_quote()
    assert drill.refused >= CLIENTS
    assert (await house.chat(other, max_tokens=5)).status_code == 200


@pytest.mark.parametrize("words", ["sim:usage=missing", "sim:ignore_cap=1", "sim:usage=negative", "sim:cut=3 sim:on_abort=bill_sent"])
async def test_with_a_provider_that_lies_the_cap_still_holds(house: House, words: str) -> None:
    """Charge and write-off together cover the bill; what is paid never exceeds the cap."""
    secret = await house.key(await house.account("1.00"), "0.05")
    drill = Drill(house, secret, "gpt-4o-mini", (20, 400, 1500), words)
    await drill.run()
    billed = nano_by_id(await house.sim_calls())
    charges = charged_by_id(house.charges())
    paid, written_off, held = spent_by(house, secret)
    for call, nano in billed.items():
        assert charges[call].paid + charges[call].written_off >= nano
    assert paid + written_off >= sum(billed.values())
    assert paid <= parse_usd("0.05")
    assert held == 0


async def test_a_key_that_names_no_cap_gets_what_is_affordable(house: House) -> None:
    """Caps are lowered as the money shrinks, down to the least; the bill stays within the cap."""
    secret = await house.key(await house.account("1.00"), "0.02")
    drill = Drill(house, secret, "gpt-4o-mini", (3000, 4000), named=False)
    await drill.run()
    billed = nano_by_id(await house.sim_calls())
    charges = charged_by_id(house.charges())
    assert {call: charges[call].price for call in billed} == billed
    paid, written_off, held = spent_by(house, secret)
    assert (sum(billed.values()), written_off, held) == (paid, 0, 0)
    assert paid <= parse_usd("0.02")
