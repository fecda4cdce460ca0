"""Every refusal of the contract, each with what leads to it: how a house is arranged, what is then asked, and what must be said.

Owns the scenes; which client plays them is the tests' business.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import apsw
import pytest

from farebox import limits
from farebox.ids import new_id
from farebox.ledger.commands import EditAccount, SetBudgets
from farebox.ledger.model import Budget, Counter
from farebox.money import format_usd, parse_usd
from support.house import House, until

MODELS = {"openai": "gpt-4o-mini", "anthropic": "claude-sonnet-5-5"}
SETTINGS: dict[str, Any] = {
    "limits": {"held_wait_s": 0, "request_body_bytes_max": 65536, "first_byte_s_max": 1},
    "server": {"topup_url": "https://pay.example/topup"},
    "providers": {
        "down": {"dialect": "openai", "base_url": "http://127.0.0.1:1/v1", "api_key": "sk-down", "prices": "openai"},
        "gone": {"dialect": "anthropic", "base_url": "http://127.0.0.1:1", "api_key": "sk-gone", "prices": "anthropic"},
    },
}
"""A house where nothing is waited for, with one provider of each dialect that is not there."""


@dataclass
class Scene:
    """What is asked once everything is arranged. `fields` go into the body, whatever the SDK thinks of them."""

    secret: str
    says: str
    """A pattern that the message matches."""
    text: str = "hi"
    model: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, Any] = field(default_factory=dict)
    after: Callable[[], Awaitable[None]] | None = None
    before: Literal["", "done", "running"] = ""
    """Whether the very same call was made before, and is over, or not."""


@dataclass(frozen=True)
class Refused:
    """One refusal of the contract."""

    reason: str
    status: int
    arrange: Callable[[House, str, pytest.MonkeyPatch], Awaitable[Scene]]
    retries: bool = False
    """Whether an SDK may ask again: on everything else the answer, or its status, says not to."""
    sent: bool = False
    """Money was set aside first: a hold and a charge are on record, though of zero."""
    charged: bool = False
    """The provider may have billed: the one refusal after which money has moved."""

    def __str__(self) -> str:
        return self.reason


def _cap(dialect: str) -> str:
    return "max_completion_tokens" if dialect == "openai" else "max_tokens"


async def _invalid_key(_house: House, _dialect: str, _patch: pytest.MonkeyPatch) -> Scene:
    return Scene("fbx_nobody", "not a key of this gateway")


async def _key_revoked(house: House, _dialect: str, _patch: pytest.MonkeyPatch) -> Scene:
    secret = await house.customer()
    await house.edit_key(secret, status="revoked")
    return Scene(secret, "was revoked")


async def _key_expired(house: House, _dialect: str, _patch: pytest.MonkeyPatch) -> Scene:
    return Scene(await house.customer(expires_at=1_000_000), "expired at 1970-01-01T00:00:01Z")


async def _key_paused(house: House, _dialect: str, _patch: pytest.MonkeyPatch) -> Scene:
    secret = await house.customer()
    await house.edit_key(secret, status="paused", status_why="spends too fast")
    return Scene(secret, r"key is paused since 20\S+Z: spends too fast")


async def _account_paused(house: House, _dialect: str, _patch: pytest.MonkeyPatch) -> Scene:
    account = await house.account()
    secret = await house.key(account)
    await house.command(EditAccount(new_id("cmd"), account, {"status": "paused", "status_why": "invoice unpaid"}))
    return Scene(secret, r"account of this key is paused since 20\S+Z: invoice unpaid")


async def _model_not_allowed(house: House, _dialect: str, _patch: pytest.MonkeyPatch) -> Scene:
    return Scene(await house.customer(models=("gpt-4o",)), "may not use .*It may use: gpt-4o")


async def _model_not_priced(house: House, _dialect: str, _patch: pytest.MonkeyPatch) -> Scene:
    return Scene(await house.customer(), "no-such-model-7 has no price in this gateway's price book", model="no-such-model-7")


async def _exhausted(house: House, _dialect: str, _patch: pytest.MonkeyPatch) -> Scene:
    return Scene(await house.customer("0"), r"Insufficient balance: nothing is available \(wallet\).*https://pay.example/topup")


async def _exceeds_available(house: House, dialect: str, _patch: pytest.MonkeyPatch) -> Scene:
    secret = await house.customer("0.10")
    says = r"may cost up to \$\d+\.\d+, available \$0\.10 \(wallet\)\. An output cap of \d+ tokens would be affordable"
    return Scene(secret, says, fields={_cap(dialect): 1_000_000})


async def _budget_exceeded(house: House, _dialect: str, _patch: pytest.MonkeyPatch) -> Scene:
    account = await house.account()
    secret = await house.key(account)
    await house.command(SetBudgets(new_id("cmd"), account, (Budget(Counter(account, "day"), 1_000),)))
    return Scene(secret, r"The day budget of this account has \$0\.000001 left .* It renews at 20\S+T00:00:00Z")


async def _exceeds_max_cost(house: House, _dialect: str, _patch: pytest.MonkeyPatch) -> Scene:
    return Scene(await house.customer(), r"above the ceiling of \$0\.00001 that it named", headers={"x-farebox-max-cost": "0.00001"})


async def _cost_unbounded(house: House, dialect: str, _patch: pytest.MonkeyPatch) -> Scene:
    name = "web_search_options" if dialect == "openai" else "container"
    return Scene(await house.customer(), f"no upper bound because of `{name}`", fields={name: {"x": "y"}})


async def _ambiguous_body(house: House, _dialect: str, _patch: pytest.MonkeyPatch) -> Scene:
    return Scene(await house.customer(), "`Max_Tokens` could be read as `max_tokens`", fields={"Max_Tokens": 5})


async def _invalid_request(house: House, dialect: str, _patch: pytest.MonkeyPatch) -> Scene:
    return Scene(await house.customer(), f"`{_cap(dialect)}` must be between", fields={_cap(dialect): -1})


async def _model_not_found(house: House, dialect: str, _patch: pytest.MonkeyPatch) -> Scene:
    other = "anthropic/claude-sonnet-5-5" if dialect == "openai" else "openai/gpt-4o-mini"
    return Scene(await house.customer(), f"The model {other} does not exist here", model=other)


async def _already_charged(house: House, _dialect: str, _patch: pytest.MonkeyPatch) -> Scene:
    says = r"already charged as req_\w+; its recorded answer is not available"
    return Scene(await house.customer(), says, "hi sim:garbage=html", headers={"idempotency-key": new_id("once")}, before="done")


async def _in_progress(house: House, _dialect: str, patch: pytest.MonkeyPatch) -> Scene:
    patch.setattr(limits, "idempotency_wait_s", 0)
    once = {"idempotency-key": new_id("once")}
    return Scene(await house.customer(), "still running as req_", "hi sim:delay=300", headers=once, before="running")


async def _running(house: House, dialect: str, secret: str, headers: Mapping[str, str], **fields: Any) -> Callable[[], Awaitable[None]]:
    """Begins a call that takes a while, and waits until its money is set aside; what is given waits for its end."""
    call = house.chat if dialect == "openai" else house.messages
    holds = house.books()["holds"]
    task = asyncio.ensure_future(call(secret, "hi sim:delay=300", headers, **fields))
    await until(lambda: house.books()["holds"] > holds or task.done())
    assert not task.done(), task.result().text

    async def ended() -> None:
        assert (await task).status_code == 200

    return ended


async def _too_large(house: House, _dialect: str, _patch: pytest.MonkeyPatch) -> Scene:
    return Scene(await house.customer(), "request body is larger than 65536 bytes", text="x" * 70_000)


async def _unsupported_encoding(house: House, _dialect: str, _patch: pytest.MonkeyPatch) -> Scene:
    return Scene(await house.customer(), "Content-Encoding gzip cannot be bounded", headers={"content-encoding": "gzip"})


async def _idempotency_mismatch(house: House, dialect: str, _patch: pytest.MonkeyPatch) -> Scene:
    secret, once = await house.customer(), {"idempotency-key": new_id("once")}
    call = house.chat if dialect == "openai" else house.messages
    assert (await call(secret, "something else", once)).status_code == 200
    return Scene(secret, "used before for another request", headers=once)


async def _rate_limited(house: House, dialect: str, _patch: pytest.MonkeyPatch) -> Scene:
    secret = await house.customer(requests_per_minute=1)
    call = house.chat if dialect == "openai" else house.messages
    assert (await call(secret)).status_code == 200
    return Scene(secret, r"Rate limit reached: requests_per_minute\. Try again in \d+ s")


async def _held(house: House, dialect: str, _patch: pytest.MonkeyPatch) -> Scene:
    call, fields = house.chat if dialect == "openai" else house.messages, {_cap(dialect): 10_000}
    account = await house.account("5.00")
    asked = await call(await house.key(account), "hi sim:delay=300", {"x-farebox-dry-run": "1"}, **fields)
    worst = parse_usd(asked.json()["worst_case_usd"])
    secret = await house.customer(format_usd(worst * 3 // 2))  # enough for one such call, not for two
    return Scene(secret, "calls in flight have it set aside", fields=fields, after=await _running(house, dialect, secret, {}, **fields))


async def _upstream_unreachable(house: House, dialect: str, _patch: pytest.MonkeyPatch) -> Scene:
    name = "down" if dialect == "openai" else "gone"
    return Scene(await house.customer(), f"provider {name} could not be reached .*Nothing was charged", model=f"{name}/{MODELS[dialect]}")


async def _upstream_bad_response(house: House, _dialect: str, _patch: pytest.MonkeyPatch) -> Scene:
    return Scene(await house.customer(), "not a valid response .*was charged", text="hi sim:garbage=html")


async def _upstream_timeout(house: House, _dialect: str, _patch: pytest.MonkeyPatch) -> Scene:
    return Scene(await house.customer(), r"did not answer in time \(.*was charged", text="hi sim:delay=30000")


async def _upstream_account(house: House, _dialect: str, _patch: pytest.MonkeyPatch) -> Scene:
    return Scene(await house.customer(), r"gateway's own account with \w+ cannot serve this", text="hi sim:status=401")


async def _ledger_unavailable(house: House, _dialect: str, _patch: pytest.MonkeyPatch) -> Scene:
    secret = await house.customer()
    return Scene(secret, "ledger is not available, and no call is made without it", after=await ledger_down(house))


async def ledger_down(house: House) -> Callable[[], Awaitable[None]]:
    """Takes the store away as another program would, by holding its write lock; what is given lets go of it."""
    await house.running.batcher.work(lambda: house.running.batcher._store._db.set_busy_timeout(0))  # type: ignore[attr-defined]
    thief = apsw.Connection(str(house.running.settings.store_path))
    thief.execute("BEGIN IMMEDIATE")

    async def up_again() -> None:
        thief.execute("ROLLBACK")
        thief.close()

    return up_again


async def _busy(house: House, _dialect: str, patch: pytest.MonkeyPatch) -> Scene:
    secret = await house.customer()
    patch.setattr(house.running.flights, "_calls_max", 0)
    return Scene(secret, r"at its limit \(0 calls in flight\)\. Nothing was charged")


async def _draining(house: House, _dialect: str, patch: pytest.MonkeyPatch) -> Scene:
    secret = await house.customer()
    patch.setattr(house.running.flights, "closing", True)
    return Scene(secret, "shutting down. Nothing was charged")


REFUSALS = [
    Refused("invalid_key", 401, _invalid_key),
    Refused("key_revoked", 401, _key_revoked),
    Refused("key_expired", 401, _key_expired),
    Refused("key_paused", 403, _key_paused),
    Refused("account_paused", 403, _account_paused),
    Refused("model_not_allowed", 403, _model_not_allowed),
    Refused("model_not_priced", 403, _model_not_priced),
    Refused("exhausted", 402, _exhausted),
    Refused("exceeds_available", 402, _exceeds_available),
    Refused("budget_exceeded", 402, _budget_exceeded),
    Refused("exceeds_max_cost", 402, _exceeds_max_cost),
    Refused("cost_unbounded", 400, _cost_unbounded),
    Refused("ambiguous_body", 400, _ambiguous_body),
    Refused("invalid_request", 400, _invalid_request),
    Refused("model_not_found", 404, _model_not_found),
    Refused("already_charged", 409, _already_charged),
    Refused("in_progress", 409, _in_progress),
    Refused("too_large", 413, _too_large),
    Refused("unsupported_encoding", 415, _unsupported_encoding),
    Refused("idempotency_mismatch", 422, _idempotency_mismatch),
    Refused("rate_limited", 429, _rate_limited, retries=True),
    Refused("held", 429, _held, retries=True),
    Refused("upstream_unreachable", 502, _upstream_unreachable, retries=True, sent=True),
    Refused("upstream_bad_response", 502, _upstream_bad_response, charged=True),
    Refused("upstream_timeout", 504, _upstream_timeout, charged=True),
    Refused("upstream_account", 503, _upstream_account, sent=True),
    Refused("ledger_unavailable", 503, _ledger_unavailable, retries=True),
    Refused("busy", 503, _busy, retries=True),
    Refused("draining", 503, _draining, retries=True),
]
"""404 for a route, 405, and those before a key is known have tests of their own: no SDK call leads there."""
