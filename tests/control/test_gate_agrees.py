"""After any traffic, every view shows the very numbers that the gate decides by."""

import asyncio
import random
from decimal import Decimal
from typing import Any

import pytest

from control.back import Back

NANO = Decimal(10) ** 9


def nano(value: Any) -> int:
    return int(Decimal(value) * NANO)


class Street:
    """Accounts, keys and caps of every kind."""

    def __init__(self, back: Back, seed: int) -> None:
        self.back = back
        self.chance = random.Random(seed)
        self.accounts: list[str] = []
        self.keys: list[str] = []
        self.open: list[Any] = []

    async def build(self) -> None:
        back = self.back
        root = await back.account("2.00")
        team = await back.account(None, parent=root)
        rich = await back.account("1.00", parent=root, wallet="own")
        self.accounts = [root, team, rich]
        await back.ask(
            "PUT", f"/accounts/{root}/budgets", [{"limit_usd": "1.50", "window": "day"}, {"limit": 100_000, "measure": "tokens"}]
        )
        await back.ask("PUT", f"/accounts/{team}/budgets", [{"limit_usd": "0.80", "window": "rolling:24h"}])
        for account, limit, reset in ((root, "1.00", None), (team, "0.70", "daily"), (team, None, None), (rich, "0.90", "weekly")):
            self.keys.append((await back.key(account, limit, limit_reset=reset))[0])

    async def step(self) -> None:
        back, chance = self.back, self.chance
        what = chance.random()
        if what < 0.5:
            hold = await back.hold(chance.choice(self.keys), chance.randrange(1, 120_000_000))
            self.open += [hold] if hold is not None else []
        elif what < 0.8 and self.open:
            hold = self.open.pop(chance.randrange(len(self.open)))
            await back.charge(hold, chance.randrange(0, hold.amount * 2))
        elif what < 0.87 and self.open:
            await back.release(self.open.pop())
        elif what < 0.92:
            await back.post(
                f"/accounts/{chance.choice(self.accounts[::2])}/adjustments", {"amount_usd": f"0.{chance.randrange(1, 99):02d}"}
            )
        elif what < 0.96:
            await back.ask("PATCH", f"/keys/{self.keys[0]}", {"limit": f"1.{chance.randrange(99):02d}"})
        else:
            charges = (await back.get("/charges?limit=5"))["data"]
            if charges:
                await back.post(f"/charges/{chance.choice(charges)['id']}/refunds", {}, status=(201, 409))

    async def compare(self) -> None:
        for account in self.accounts[::2]:
            await self._compare_wallet(account)
        for key in self.keys:
            await self._compare_key(key)
        usage = {one["key"]: one for one in (await self.back.get("/usage?by=key"))["data"]}
        for key in self.keys:
            shown = (await self.back.get(f"/keys/{key}"))["data"]
            assert nano(usage[key]["price_usd"] if key in usage else 0) == nano(shown["usage"])

    async def _compare_wallet(self, account: str) -> None:
        balance = await self.back.get(f"/accounts/{account}/balance")
        parts = {name: nano(balance[name]) for name in ("granted", "spent", "held", "expired", "pending", "available", "written_off")}
        assert parts["granted"] == sum(parts[name] for name in ("spent", "held", "expired", "pending", "available"))
        for name in ("spent", "held", "available"):
            assert parts[name] == sum(nano(grant[name]) for grant in balance["grants"])
        holds = (await self.back.get("/holds?state=open&limit=1000"))["data"]
        assert parts["held"] == sum(nano(one["amount_usd"]) for one in holds if one["wallet_id"] == account)
        charges = [one for one in (await self.back.get("/charges?limit=1000"))["data"] if one["wallet_id"] == account]
        assert parts["spent"] == sum(nano(one["paid_usd"]) for one in charges)
        assert parts["written_off"] == sum(nano(one["written_off_usd"]) for one in charges)

    async def _compare_key(self, key: str) -> None:
        """What is shown as available is exactly what the gate gives: that much is held, and one nano-dollar more is not."""
        back = self.back
        shown = (await back.get(f"/keys/{key}"))["data"]
        policy = back.reports.policy(back.reports.key(key))  # type: ignore[arg-type]
        quoted = back.reports.key_view(policy.key, back.reports.now())
        assert await back.hold(key, quoted.available + 1) is None
        if quoted.available:
            hold = await back.hold(key, quoted.available)
            assert hold is not None, back.refused
            await back.release(hold)
        limit = shown["limit_remaining"]
        assert limit is None or nano(limit) >= quoted.available
        assert nano(shown["exposure_usd"]) >= quoted.available


@pytest.mark.parametrize("seed", range(4))
async def test_every_view_equals_the_gates_numbers_after_random_traffic(back: Back, seed: int) -> None:
    """Balances, keys, budgets, charges and usage: one set of numbers."""
    street = Street(back, seed)
    await street.build()
    for _ in range(4):
        for _ in range(30):
            await street.step()
        await street.compare()
    for hold in street.open:
        await back.release(hold)


async def test_nothing_is_shown_half_done(back: Back) -> None:
    """While calls are charged, a balance adds up in every answer."""
    account = await back.account("5.00")
    key, _ = await back.key(account, None)

    async def spend() -> None:
        for _ in range(60):
            await back.call(key, 1_000_000)

    async def watch() -> None:
        for _ in range(60):
            balance = await back.get(f"/accounts/{account}/balance")
            parts = sum(nano(balance[name]) for name in ("spent", "held", "expired", "pending", "available"))
            assert nano(balance["granted"]) == parts == 5_000_000_000

    await asyncio.gather(spend(), spend(), watch())
