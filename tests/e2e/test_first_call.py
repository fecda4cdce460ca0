"""One call, end to end: held, forwarded, metered, charged."""

from support.house import House, charged_by_id, nano_by_id


async def test_a_call_is_charged_what_the_provider_billed(house: House) -> None:
    """The charge equals the provider's own bill to the nano-dollar, and everything else is given back."""
    secret = await house.customer()
    answer = await house.chat(secret, "hi sim:output=20")
    assert answer.status_code == 200
    billed = nano_by_id(await house.sim_calls())
    charges = charged_by_id(house.charges())
    assert billed.keys() == charges.keys()
    assert len(billed) == 1
    for call_id, nano in billed.items():
        assert charges[call_id].price == charges[call_id].paid == nano
        assert answer.headers["x-upstream-request-id"] == call_id
    assert house.books()["held"] == 0
