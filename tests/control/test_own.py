"""What a gateway key may ask: itself, and nothing of anybody else."""

from decimal import Decimal

from control.back import Back


async def test_a_key_learns_its_own_limit_and_not_the_organizations_money(back: Back) -> None:
    """Its credits are what it spent and what is available to it: the number that the gate would give."""
    account = await back.account("1000.00")
    key, secret = await back.key(account, "2.00")
    await back.call(key, 500_000_000)
    held = await back.hold(key, 250_000_000)
    assert held is not None
    own = (await back.get("/key", secret=secret))["data"]
    assert (own["usage"], own["limit"], own["limit_remaining"], own["available"]) == tuple(map(Decimal, ("0.5", "2", "1.25", "1.25")))
    credits_ = (await back.get("/credits", secret=secret))["data"]
    assert credits_ == {"total_credits": Decimal("1.75"), "total_usage": Decimal("0.5")}
    answer = await back.client(secret).get("/api/v1/key")
    assert "1000" not in answer.text
    assert account not in answer.text


async def test_dollars_are_exact_json_numbers(back: Back) -> None:
    """Written from the integer: no float ever touches them."""
    account = await back.account("90071992.547409931")
    key, _ = await back.key(account, "90071992.547409931")
    await back.call(key, 1, 1)
    text = (await back.http.get(f"/api/v1/keys/{key}")).text
    assert '"limit":90071992.547409931,' in text
    assert '"limit_remaining":90071992.54740993,' in text
    assert '"usage":0.000000001,' in text
    assert '"total_credits":90071992.547409931' in (await back.http.get("/api/v1/credits")).text


async def test_a_generation_is_shown_to_its_key_and_its_administrators(back: Back) -> None:
    """Total, attempts, hold, versions, lines, timings. To any other key it does not exist; costs are for administrators."""
    account = await back.account(markup_basis_points=2000)
    key, secret = await back.key(account)
    _, other = await back.key(account)
    request = await back.call(key, 27_000)
    mine = (await back.get(f"/generation?id={request}", secret=secret))["data"]
    assert (mine["id"], mine["total_cost"], mine["tokens_prompt"], mine["tokens_completion"]) == (request, Decimal("0.000027"), 100, 20)
    charge = mine["attempts"][0]["charge"]
    assert charge["lines"][1] == {"unit": "out_text", "quantity": 20, "usd_each": "0.0000006", "usd": "0.000012"}
    assert charge["timings"]["first_byte_us"] == 100_000
    assert mine["attempts"][0]["hold"]["amount_usd"] == "0.000054"
    assert "provider_cost_usd" not in charge
    assert "markup_basis_points" not in mine["attempts"][0]["versions"]
    seen = (await back.get(f"/generation?id={request}"))["data"]["attempts"][0]
    assert seen["charge"]["provider_cost_usd"] == "0.000027"
    for asked in (request, "req_none", "", "hold_x"):
        assert (await back.get("/generation", params={"id": asked}, secret=other, status=(404, 422)))["code"] in (
            "not_found",
            "invalid_request",
        )
    assert (await back.get(f"/generation?id={request}", secret=other, status=404))["code"] == "not_found"


async def test_a_call_in_flight_is_a_generation_without_a_charge(back: Back) -> None:
    """It costs nothing yet."""
    account = await back.account()
    key, _ = await back.key(account)
    hold = await back.hold(key, 1000)
    assert hold is not None
    shown = (await back.get(f"/generation?id={hold.request_id}"))["data"]
    assert (shown["total_cost"], shown["state"], shown["attempts"][0]["charge"]) == (0, "open", None)


async def test_an_admin_key_sees_the_credits_of_its_scope(back: Back) -> None:
    """All wallets of the installation, or those of one subtree."""
    first, second = await back.account("3.00"), await back.account("4.00")
    key, _ = await back.key(first)
    await back.call(key, 500_000_000, 500_000_000)
    assert (await back.get("/credits"))["data"] == {"total_credits": 7, "total_usage": Decimal("0.5")}
    scoped = await back.admin(second)
    assert (await back.get("/credits", secret=scoped))["data"] == {"total_credits": 4, "total_usage": 0}
    assert (await back.get("/key", secret=scoped))["data"]["scope"] == second


async def test_an_expired_key_is_told_so(back: Back) -> None:
    """401, with a code of its own."""
    account = await back.account()
    _, secret = await back.key(account, expires_at="2020-01-01T00:00:00Z")
    assert (await back.get("/key", secret=secret, status=401))["code"] == "key_expired"
