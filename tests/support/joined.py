"""Random calls, made many at once and joined with the provider's bill by call id: what the property tests of every dialect share."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import httpx

from support.house import House, charged_by_id

AT_ONCE = 8


def calls(short: int) -> int:
    """How many calls a property test makes: so many, and twenty times that in the long form."""
    return short * 20 if os.environ.get("FAREBOX_SOAK") else short


async def make_all(made: Sequence[Callable[[], Awaitable[None]]]) -> None:
    """Makes the calls, some at once."""
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(call: Callable[[], Awaitable[None]]) -> None:
        async with turn:
            await call()

    await asyncio.gather(*[one(call) for call in made])


async def post(house: House, path: str, headers: dict[str, str], asked: dict[str, Any], *, leaves: bool) -> None:
    """One call as plain HTTP; a caller who leaves does so after the first piece of the answer."""
    try:
        async with house.http.stream("POST", house.url + path, json=asked, headers=headers) as answer:
            async for _ in answer.aiter_raw():
                if leaves:
                    return
    except httpx.HTTPError:
        pass  # cut, as it was asked to be


async def compare(house: House, what: str, record_property: Callable[[str, object], None]) -> tuple[int, int]:
    """Every billed call has one charge: the bill, to the nano-dollar, where the provider reported; else no less. Prints by how much.

    Gives how many calls were charged exactly, and how many the provider saw.
    """
    await house.settled()
    charges, rows = charged_by_id(house.charges()), await house.sim_calls()
    exact = more = billed = 0
    for row in rows:
        nano, charge = int(row["nano"]), charges.get(row["id"])
        billed += nano
        if charge is None:
            assert nano == 0, f"billed and not charged: {row}"
            continue
        assert charge.paid + charge.written_off == charge.price
        assert charge.price >= nano, (charge, row)
        if charge.completeness == "exact" and charge.outcome != "released":
            assert charge.price == nano, (charge, row)
            exact += 1
        more += charge.price - nano
    told = f"{what}: {exact} of {len(rows)} exact; billed {billed} nano-dollars, charged {more} more where nothing was reported"
    record_property("difference", told)
    print(told)
    return exact, len(rows)
