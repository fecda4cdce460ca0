"""Work that is not proxied, over three gateways: ten renders on a wallet for six, and one event that a hundred senders tell of at once."""

import asyncio
from collections import Counter

from proof.cluster import LOST_S, Cluster, until
from proof.load import Load, Shape, client

STREAM = Shape("gpt-4o-mini", 400, 300, stream=True, pace_ms=50)
QUARTER_S = 900


async def test_ten_renders_on_a_wallet_for_six_outlive_their_gateway_and_are_captured_at_what_they_came_to(
    cluster: Cluster, seed: int
) -> None:
    """Exactly six are admitted; the sweeper ends the calls of a gateway that was killed, and leaves the renders it had held."""
    (secret,) = await cluster.customers(1, "10.00")
    (caller,) = await cluster.customers(1, "1.00")
    asked = {"key": cluster.key_of(secret), "amount_usd": "1.50", "lifetime_s": QUARTER_S}
    answers = await asyncio.gather(*(cluster.api(cluster.nodes[number % 3], "/holds", asked) for number in range(10)))
    assert Counter(answer.status_code == 201 for answer in answers) == {True: 6, False: 4}
    assert {answer.json()["code"] for answer in answers if answer.status_code != 201} <= {"held", "exceeds_available"}
    load = Load(cluster.nodes, seed)
    victim = cluster.nodes[0]

    async def stream() -> None:
        async with client() as http:
            await load.call(http, victim, caller, STREAM)

    streaming = asyncio.ensure_future(stream())
    await until(lambda: cluster.rows("SELECT 1 FROM holds WHERE owner <> 'api' AND state = 'open'"))
    await victim.end()
    await streaming
    await until(lambda: cluster.rows("SELECT 1 FROM holds WHERE owner <> 'api' AND state = 'expired'"))
    assert len(await cluster.rows("SELECT 1 FROM holds WHERE owner = 'api' AND state = 'open'")) == 6, (
        f"{LOST_S} s of silence are not theirs"
    )
    ids = [answer.json()["id"] for answer in answers if answer.status_code == 201]
    captured = await asyncio.gather(
        *(
            cluster.api(cluster.nodes[1 + number % 2], f"/holds/{hold}/capture", {"amount_usd": f"1.{number}0"})
            for number, hold in enumerate(ids)
        )
    )
    assert [answer.json()["paid_usd"] for answer in captured] == [f"1.{number}0" for number in range(6)]
    await victim.start()
    (row,) = await cluster.rows("SELECT spent, held FROM grants WHERE amount = 10000000000")
    assert tuple(row) == (7_500_000_000, 0)


async def test_one_event_told_a_hundred_times_at_once_over_three_gateways_is_one_charge(cluster: Cluster) -> None:
    """Whoever tells of it, and wherever, learns of the same charge; the balance read right after shows it."""
    account = (await cluster.api(cluster.nodes[0], "/accounts", {"name": "customer"})).json()["id"]
    await cluster.api(cluster.nodes[0], f"/accounts/{account}/grants", {"amount_usd": "10.00"})
    event = {"specversion": "1.0", "id": "1", "source": "renderer", "type": "work.done", "subject": account, "data": {"amount_usd": "1.25"}}

    async def send(number: int) -> tuple[str, str, str]:
        node = cluster.nodes[number % 3]
        (told,) = (await cluster.api(node, "/events", event)).json()["data"]
        shown = (await cluster.api(node, f"/accounts/{account}/balance")).json()
        return told["status"], told["charge"]["id"], shown["available"]

    answers = await asyncio.gather(*map(send, range(100)))
    assert Counter(status for status, _, _ in answers) == {"charged": 1, "repeated": 99}
    assert {one[1:] for one in answers} == {(answers[0][1], "8.75")}
    assert len(await cluster.rows("SELECT 1 FROM charges")) == 1
