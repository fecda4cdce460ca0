"""A back office for a test: the real control API over a real store, spoken to as HTTP. Its end closes the store and verifies the books."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import structlog
from pydantic import SecretStr

from farebox import logs
from farebox.app import let_somebody_administer, open_ledger, quoter_of
from farebox.clock import Clock, wall_clock
from farebox.control.admin_keys import make_admin_key
from farebox.control.app import Control, create
from farebox.control.context import Context
from farebox.ids import new_id
from farebox.ledger.bounds import Affine, Bound
from farebox.ledger.commands import Authorize, Authorized, Capture, Release, Result, Settled
from farebox.ledger.model import Hold
from farebox.providers.configured import catalogue_of
from farebox.store.batcher import Batcher
from farebox.store.reports import Reports
from farebox.store.verify import verify
from support.house import _copy_filled_store as copy_filled_store
from support.house import settings_for

LINES = '[["in_text_uncached",100,150000,15000000],["out_text",20,600000,12000000]]'
USAGE = '{"units":{"in_text_uncached":100,"out_text":20},"prompt_total":100,"conditions":{}}'


class Back:
    """The API and the ledger behind it."""

    def __init__(self, control: Control, context: Context, secret: str, away: asyncio.Event) -> None:
        self.control = control
        self.context = context
        self.secret = secret
        self.away = away
        """Set: the gateway beside it says that the ledger cannot be reached."""
        self.batcher: Batcher = context.batcher
        self.http = self.client(secret)
        self.reports = Reports(context.store, context.clock)
        self.refused: list[str] = []

    def client(self, secret: str | None) -> httpx.AsyncClient:
        headers = {} if secret is None else {"authorization": f"Bearer {secret}"}
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.control), base_url="http://back", headers=headers)

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        status: int | tuple[int, ...] = (200, 201),
        secret: str | None = None,
        **more: Any,
    ) -> Any:
        """One request; its answer read with exact numbers. What is not answered with the status expected fails the test."""
        headers = {"authorization": f"Bearer {secret or self.secret}", **more.pop("headers", {})}
        if "once" in more:
            headers["idempotency-key"] = more.pop("once")
        answer = await self.http.request(method, f"/api/v1{path}", json=body, headers=headers, **more)
        expected = (status,) if isinstance(status, int) else status
        assert answer.status_code in expected, f"{method} {path}: {answer.status_code} {answer.text}"
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == "application/problem+json"
        return json.loads(answer.content, parse_float=Decimal)

    async def get(self, path: str, **more: Any) -> Any:
        return await self.ask("GET", path, **more)

    async def post(self, path: str, body: Any = None, **more: Any) -> Any:
        return await self.ask("POST", path, body, **more)

    # --- people ---------------------------------------------------------------------------------------------------------------

    async def account(self, usd: str | None = "5.00", **fields: Any) -> str:
        made = await self.post("/accounts", fields)
        if usd is not None and made["wallet"] == "own":
            await self.post(f"/accounts/{made['id']}/grants", {"amount_usd": usd})
        return str(made["id"])

    async def key(self, account: str, limit: str | None = "1.00", **fields: Any) -> tuple[str, str]:
        """A new key: its id and its secret."""
        cap = {"no_limit": True} if limit is None else {"limit": limit}
        made = await self.post("/keys", {"account": account, **cap, **fields})
        return made["data"]["id"], made["key"]

    async def admin(self, scope: str | None) -> str:
        """A further admin key's secret."""
        return (await make_admin_key(self.batcher, "test", scope))[1]

    # --- calls, without a provider ------------------------------------------------------------------------------------------------

    async def hold(self, key_id: str, nano: int, model: str = "openai/gpt-4o-mini", **more: Any) -> Hold | None:
        """Sets money aside as a gateway would; None when that was refused (`refused` says why)."""
        provider, _, name = model.partition("/")
        request = new_id("req")
        run = more.pop("run", "")
        for _ in range(8):
            key = self.reports.key(key_id)
            assert key is not None
            command = Authorize(
                f"hold_{request.removeprefix('req_')}1",
                request,
                1,
                self.reports.policy(key).gate(model, run),
                Bound(Affine(nano), Affine(nano), Affine(200), 1, 1),
                0,
                0,
                provider,
                name,
                "chat_completions",
                "test",
                2**60,
                run=run,
                **more,
            )
            outcome = await self.batcher.one(command)
            if isinstance(outcome, Authorized):
                return outcome.hold
            reason = getattr(outcome, "reason", "requote")
            if reason != "requote":
                self.refused.append(reason)
                return None
        raise AssertionError("planned again and again")

    async def charge(self, hold: Hold, nano: int, **more: Any) -> Settled:
        """Charges a hold."""
        first = more.pop("first_byte_us", 100_000)
        timings = json.dumps({"received_at": hold.created_at, "first_byte_us": first, "last_byte_us": first * 3})
        result = Result(
            "answered", "exact", nano, nano, nano, 120, usage=USAGE, lines=LINES, timings=timings, status=200, upstream_request_id="up_1"
        )
        outcome = await self.batcher.one(Capture(hold.id, result, gate=None))
        assert isinstance(outcome, Settled), outcome
        return outcome

    async def release(self, hold: Hold) -> None:
        await self.batcher.one(Release(hold.id, "upstream_503", 503))

    async def call(self, key_id: str, nano: int, held: int | None = None, **more: Any) -> str:
        """A whole call; its request's id."""
        hold = await self.hold(key_id, held or nano * 2, **more)
        assert hold is not None, self.refused
        await self.charge(hold, nano)
        return hold.request_id


@asynccontextmanager
async def open_back(
    folder: Path, more: dict[str, Any] | None = None, *, clock: Clock = wall_clock, prices: bool = False, admin_key: str | None = None
) -> AsyncIterator[Back]:
    """An installation in a folder."""
    settings = settings_for(folder, "http://127.0.0.1:9", {"pricing": {"import_at_start": prices}, **(more or {})})
    if admin_key is not None:
        settings = settings.model_copy(update={"admin_key": SecretStr(admin_key)})
    if prices:
        await copy_filled_store(folder)
    batcher = open_ledger(settings, clock=clock)
    secret = await let_somebody_administer(settings, batcher, clock)
    catalogue = catalogue_of(settings)
    away = asyncio.Event()
    context = Context(
        settings=settings,
        store=settings.store_path,
        batcher=batcher,
        catalogue=catalogue,
        quoter=quoter_of(settings, catalogue),
        clock=clock,
        figures=dict,
        ready=str,
        away=away.is_set,
    )
    control = create(context)
    back = Back(control, context, secret or admin_key or (await make_admin_key(batcher, "test", None))[1], away)
    logs.configure(settings.log)
    try:
        yield back
    finally:
        structlog.reset_defaults()
        await back.http.aclose()
        back.reports.close()
        control.close()
        batcher.close()
    verdict = verify(settings.store_path)
    assert verdict.ok, verdict.findings
