"""Real clients, unmodified: through the gateway each gets what it gets straight from the provider, and an error of its own for no money."""

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from farebox.dialects import DIALECTS
from farebox.dialects.routes import METERED
from farebox.ledger.model import Charge
from sdks.clients import CLIENTS, Client, routes_of
from sdks.driving import Results, driven, same
from sdks.https import https_before
from support.house import House, charged_by_id
from upstream.certificates import Authority


async def _addresses(client: Client, house: House, folder: Path, stack: AsyncExitStack) -> tuple[str, str, dict[str, str]]:
    """Of the simulator and of the gateway as this client can be told them, and how it comes to trust them."""
    if not client.secure:
        return house.sim.url, house.url, {}
    authority = Authority(folder)
    context = authority.context("127.0.0.1")
    urls = [await stack.enter_async_context(https_before(url, context)) for url in (house.sim.url, house.url)]
    return urls[0], urls[1], {"AWS_CA_BUNDLE": authority.ca_file}


def _charged_as_billed(charges: list[Charge], bill: list[dict[str, Any]]) -> None:
    """Each call that the provider gave an id by that id; those that it gave none (some of Gemini's answers) by what they came to."""
    billed, named = {str(row["id"]): int(row["nano"]) for row in bill}, charged_by_id(charges)
    for call, charge in named.items():
        assert charge.price == billed[call] if charge.completeness == "exact" else charge.price >= billed[call], (charge, billed[call])
    nameless = [charge for charge in charges if not charge.upstream_request_id]
    assert all(charge.completeness == "exact" for charge in nameless), nameless
    assert sorted(charge.price for charge in nameless) == sorted(nano for call, nano in billed.items() if call not in named)
    assert all(charge.paid + charge.written_off == charge.price for charge in charges)


def _without_money(client: Client, results: Results, same_program: Results) -> None:
    """Nothing but what is free came back, and the rest raised what a program can catch."""
    for name, result in results.items():
        if name in client.free:
            assert same(result) == same(same_program[name])
        else:
            assert (result["raised"], result["status"]) == (client.broke, client.broke_status), (name, result)


@pytest.mark.parametrize("client", CLIENTS, ids=str)
async def test_a_client_gets_what_the_provider_gives_and_an_error_of_its_own_for_no_money(
    house: House, tmp_path: Path, client: Client
) -> None:
    """Every ask, equal but for ids and times, charged what the provider billed; without money its class for 402, in exactly one attempt."""
    secret, broke = await house.customer("50.00", None), await house.customer("0")
    async with AsyncExitStack() as stack:
        sim_url, url, environment = await _addresses(client, house, tmp_path, stack)
        program = await stack.enter_async_context(driven(client.command, tmp_path, client.environment | environment))
        straight = await program.results(sim_url, "any")
        asked_straight = len(await house.sim_calls())
        through = await program.results(url, secret)
        for name, result in through.items():
            assert same(result) == same(straight[name]), name
        raised = {name: result["raised"] for name, result in straight.items() if isinstance(result, dict) and "raised" in result}
        assert raised == client.raises
        await house.settled()
        bill = (await house.sim_calls())[asked_straight:]
        assert len(bill) == asked_straight
        _charged_as_billed(house.charges(), bill)
        books, reached = house.books(), len(house.seen)
        _without_money(client, await program.results(url, broke), through)
    assert len(house.seen) - reached == len(through), "one attempt for each ask"
    assert house.books() == books


def test_every_metered_route_of_every_dialect_has_a_real_client() -> None:
    """What is served is shown with a client that people use."""
    shown: set[tuple[str, str]] = set().union(*map(routes_of, CLIENTS))
    assert {dialect for dialect, _ in shown} == set(DIALECTS)
    assert METERED.keys() - shown == set()
