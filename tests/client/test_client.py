"""The client against a real gateway's control API, over sockets: synchronous and not, with broken connections and refusals."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import farebox
from control.back import Back, open_back
from farebox.exchange import Receive, Scope, Send
from farebox.serving import Asgi, asgi, listening_socket, server


class Desk:
    """An installation that listens."""

    def __init__(self, back: Back, url: str) -> None:
        self.back = back
        self.url = url
        self.secret = back.secret

    def client(self) -> farebox.AsyncClient:
        return farebox.AsyncClient(self.url, self.secret)


@asynccontextmanager
async def listening(app: Asgi) -> AsyncIterator[str]:
    door = listening_socket("127.0.0.1", 0)
    serving = server(asgi(app))
    task = asyncio.ensure_future(serving.serve([door]))
    yield f"http://127.0.0.1:{door.getsockname()[1]}"
    serving.should_exit = True
    await task
    door.close()


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_back(tmp_path) as back, listening(back.control) as url:
        yield Desk(back, url)


def an_afternoon(url: str, secret: str) -> dict[str, Any]:
    """Everything once, synchronously."""
    with farebox.Client(url, secret) as client:
        account = client.accounts.create(name="Acme", external_id="acme")
        client.accounts.grant(account.id, "20.00", once="invoice-1")
        client.accounts.grant(account.id, "20.00", once="invoice-1")
        key = client.keys.create(account.id, limit="5.00", name="ci")
        assert key.secret is not None
        assert client.keys.pause(key.id, "lunch").disabled
        assert not client.keys.resume(key.id).disabled
        with client.holds.hold(account=account.id, amount_usd="4.00", tags={"team": "a"}) as held:
            held.extend(amount_usd="1.00")
            held.capture("2.50")
        with pytest.raises(ZeroDivisionError), client.holds.hold(key=key.id, amount_usd=Decimal("1.5")):
            _ = 1 // 0
        told = client.events.send({"source": "nightly", "id": "1", "subject": "acme", "data": {"amount_usd": "0.25"}})
        many = client.events.send_many(
            [{"source": "nightly", "id": str(number), "subject": key.id, "data": {"amount_usd": "0.25"}} for number in range(1, 4)]
        )
        with farebox.Client(url, key.secret) as own:
            own.holds.capture(own.holds.create(amount_usd="0.50").id, "0.50")
        client.keys.revoke(key.id)
        return {
            "told": [told.status, *(one.status for one in many)],
            "balance": client.accounts.balance(account.id),
            "accounts": [one.id for one in client.accounts.list().data] == [client.accounts.get(account.id).id],
            "keys": sorted(one.name for one in client.keys.list(account=account.id).data),
            "usage": sum(Decimal(row["price_usd"]) for row in client.usage(by=["key", "day"]).data),
        }


async def test_an_afternoon_of_a_back_office(desk: Desk) -> None:
    """Accounts, money, keys, holds, events, usage: every amount is what the ledger says."""
    said = await asyncio.to_thread(an_afternoon, desk.url, desk.secret)
    assert said["told"] == ["charged", "conflict", "charged", "charged"]
    assert (said["balance"].granted, said["balance"].spent, said["balance"].held) == (20, Decimal("3.75"), 0)
    assert said["usage"] == Decimal("3.75")
    assert said["accounts"]
    assert said["keys"] == ["work not proxied"] or said["keys"] == ["ci", "work not proxied"]


async def test_a_refusal_carries_its_status_and_code(desk: Desk) -> None:
    """And the whole document."""
    async with desk.client() as client:
        account = await client.accounts.create()
        with pytest.raises(farebox.Refused) as refused:
            await client.holds.create(account=account.id, amount_usd="1.00")
        assert (refused.value.status, refused.value.code) == (402, "exhausted")
        assert refused.value.problem["needed_usd"] == "1.00"
        with pytest.raises(farebox.Refused) as refused:
            await client.holds.release("hold_nothing")
        assert refused.value.status == 404


async def test_what_is_not_captured_within_a_hold_is_given_back(desk: Desk) -> None:
    """Whether the work failed or only ended; a capture is final."""
    async with desk.client() as client:
        account = await client.accounts.create()
        await client.accounts.grant(account.id, 10)
        async with client.holds.hold(account=account.id, amount_usd=4):
            assert (await client.accounts.balance(account.id)).held == 4
        with pytest.raises(LookupError):
            async with client.holds.hold(account=account.id, amount_usd=4):
                raise LookupError
        async with client.holds.hold(account=account.id, amount_usd=4) as held:
            charge = await held.capture("1.25")
            await held.release()
        assert charge.paid_usd == Decimal("1.25")
        after = await client.accounts.balance(account.id)
        assert [after.held, after.spent] == [Decimal(0), Decimal("1.25")]


async def test_ten_renders_over_sockets_admit_six(desk: Desk) -> None:
    """Ten clients at once on $10, $1.50 each, every one captured at what it came to."""
    async with desk.client() as client:
        account = await client.accounts.create()
        await client.accounts.grant(account.id, "10.00")
        asked = (client.holds.create(account=account.id, amount_usd="1.50", lifetime_s=900) for _ in range(10))
        made = await asyncio.gather(*asked, return_exceptions=True)
        held = [one.id for one in made if not isinstance(one, BaseException)]
        assert len(held) == 6
        assert {one.code for one in made if isinstance(one, farebox.Refused)} == {"held"}
        await asyncio.gather(*(client.holds.capture(one, "1.10") for one in held))
        after = await client.accounts.balance(account.id)
        assert [after.spent, after.held, after.available] == [Decimal("6.60"), Decimal(0), Decimal("3.40")]


async def test_a_broken_connection_is_tried_again_and_done_once(desk: Desk) -> None:
    """The answer is lost after the commit: the second attempt is the same request."""
    lost: list[str] = []

    async def losing(scope: Scope, receive: Receive, send: Send) -> None:
        first = scope["method"] == "POST" and scope["path"] not in lost
        if not first:
            return await desk.back.control(scope, receive, send)
        lost.append(scope["path"])

        async def swallow(_message: Any) -> None:
            """Nothing arrives."""

        await desk.back.control(scope, receive, swallow)
        await send({"type": "http.response.start", "status": 503, "headers": [(b"content-length", b"0")]})
        return await send({"type": "http.response.body", "body": b""})

    async with listening(losing) as url, farebox.AsyncClient(url, desk.secret) as client:
        account = await client.accounts.create()
        await client.accounts.grant(account.id, "10.00")
        held = await client.holds.create(account=account.id, amount_usd="4.00")
        charge = await client.holds.capture(held.id, "1.00")
        assert charge.paid_usd == 1
        told = await client.events.send({"source": "s", "id": "1", "subject": account.id, "data": {"amount_usd": "2"}})
        assert told.status == "repeated"
        after = await client.accounts.balance(account.id)
        assert [after.granted, after.spent, after.held] == [Decimal(10), Decimal(3), Decimal(0)]
        assert len((await client.accounts.list()).data) == 1


async def test_nobody_there_is_told_after_some_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not as a refusal."""
    monkeypatch.setattr("farebox.client.sending._PAUSE_S", 0)
    door = listening_socket("127.0.0.1", 0)
    url = f"http://127.0.0.1:{door.getsockname()[1]}"
    door.close()
    async with farebox.AsyncClient(url, "fba_x") as client:
        with pytest.raises(farebox.Unreachable):
            await client.accounts.list()


def test_a_client_knows_its_gateway_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """FAREBOX_URL and FAREBOX_ADMIN_KEY; without a key there is no client."""
    monkeypatch.setenv("FAREBOX_URL", "http://gateway.test:1/")
    monkeypatch.setenv("FAREBOX_ADMIN_KEY", "fba_secret")
    with farebox.Client() as client:
        assert str(client._http.base_url) == "http://gateway.test:1/api/v1/"
        assert client._http.headers["authorization"] == "Bearer fba_secret"
    monkeypatch.delenv("FAREBOX_ADMIN_KEY")
    with pytest.raises(ValueError, match="FAREBOX_ADMIN_KEY"):
        farebox.Client()


def test_the_client_is_loaded_when_it_is_asked_for_and_alone() -> None:
    """`import farebox` loads no client, and a client loads nothing of the gateway."""
    code = "import sys, farebox; assert 'farebox.client' not in sys.modules; farebox.Client; "
    code += "sys.exit(any(name.startswith('farebox.') and not name.startswith('farebox.client') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
