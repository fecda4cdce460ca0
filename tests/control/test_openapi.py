"""The API against its own description: whatever is sent, the answer is one that the document tells of, and never a fault of ours."""

import asyncio
import re
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from control.back import Back, open_back
from farebox.control.problems import STATUSES

CHECKS = [
    schemathesis.checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
SLOW = ("/api/v1/prices/import", "/api/v1/verify")
"""Routes that take a while each time: tests of their own look at them."""


OWN = {("get", "/key"), ("get", "/credits"), ("get", "/generation"), ("post", "/holds")}
OWN |= {("post", f"/holds/{{hold_id}}/{action}") for action in ("extend", "capture", "release")}
"""What a gateway key may ask: about itself, and for itself."""


class Resident:
    """A back office on an event loop of its own, with something of everything in it, for code that does not wait."""

    def __init__(self, folder: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._opened = AsyncExitStack()
        self.back: Back = self.run(self._opened.enter_async_context(open_back(folder)))
        self.ids: dict[str, str] = self.run(self._settle())

    def run(self, awaitable: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(awaitable, self._loop).result(60)

    async def _settle(self) -> dict[str, str]:
        account = await self.back.account("100.00")
        key, _ = await self.back.key(account, "50.00")
        request = await self.back.call(key, 1_000)
        return {"account_id": account, "key_id": key, "charge_id": f"hold_{request.removeprefix('req_')}1", "id": request}

    def close(self) -> None:
        self.run(self._opened.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture
def resident(tmp_path: Path) -> Iterator[Resident]:
    made = Resident(tmp_path)
    yield made
    made.close()


EXPLORE = settings(
    max_examples=8, deadline=None, derandomize=True, database=None, phases=(Phase.generate,), suppress_health_check=list(HealthCheck)
)


def test_every_answer_is_one_that_the_document_tells_of(resident: Resident) -> None:
    """Any parameters, any body, fitting or not: no fault of ours, no undocumented status, kind or shape of answer."""
    api = schemathesis.openapi.from_asgi("/api/v1/openapi.json", resident.back.control)
    seen = 0
    found: Any
    for found in api.get_all_operations():
        operation = found.ok()
        if operation.path in SLOW:
            continue
        for mode in schemathesis.GenerationMode:
            _explore(operation, mode, resident)
        seen += 1
    assert seen > 30


def _explore(operation: Any, mode: schemathesis.GenerationMode, resident: Resident) -> None:
    @EXPLORE
    @given(case=operation.as_strategy(generation_mode=mode))
    def explore(case: Any) -> None:
        for name in case.path_parameters or {}:
            case.path_parameters[name] = resident.ids.get(name, case.path_parameters[name])
        case.call_and_validate(headers={"authorization": f"Bearer {resident.back.secret}"}, checks=CHECKS)

    try:
        explore()
    except Unsatisfiable:
        return  # nothing of this operation can be wrong


async def test_the_document_names_every_route_of_the_contract(back: Back) -> None:
    """With its methods."""
    paths = (await back.http.get("/api/v1/openapi.json")).json()["paths"]
    told = {f"{method.upper()} {path.removeprefix('/api/v1')}" for path, item in paths.items() for method in item}
    wanted = """
        POST /accounts, GET /accounts, GET /accounts/{account_id}, PATCH /accounts/{account_id}, GET /accounts/{account_id}/balance,
        POST /accounts/{account_id}/grants, POST /accounts/{account_id}/adjustments, POST /accounts/{account_id}/moves,
        PUT /accounts/{account_id}/budgets, GET /accounts/{account_id}/budgets, PUT /keys/{key_id}/budgets, GET /keys/{key_id}/budgets,
        POST /keys, GET /keys, GET /keys/{key_id}, PATCH /keys/{key_id}, DELETE /keys/{key_id}, POST /keys/{key_id}/pause,
        POST /keys/{key_id}/resume, POST /keys/{key_id}/rotate, GET /key, GET /credits, GET /generation, GET /usage, GET /charges,
        GET /holds, POST /holds, POST /holds/{hold_id}/extend, POST /holds/{hold_id}/capture, POST /holds/{hold_id}/release, POST /events,
        GET /transfers, POST /charges/{charge_id}/refunds, GET /prices, POST /prices/import, POST /quotes, POST /verify,
        GET /healthz, GET /readyz"""
    assert {one.strip() for one in wanted.split(",")} <= told


async def test_no_route_is_open_to_who_has_no_key(back: Back) -> None:
    """Nor to a key of another kind, but for those that concern itself; nothing is made meanwhile."""
    account = await back.account()
    key, secret = await back.key(account)
    before = await back.post("/verify")
    paths = (await back.http.get("/api/v1/openapi.json")).json()["paths"]
    for path, item in paths.items():
        if path in ("/healthz", "/readyz"):
            continue
        place = path.format(account_id=account, key_id=key, charge_id="hold_x", hold_id="hold_x", meter="minute")
        for method in item:
            for sent, status in ((None, 401), ("wrong", 401), (secret, 403)):
                answer = await back.client(sent).request(method, place, json={} if method != "get" else None)
                own = (method, path.removeprefix("/api/v1")) in OWN
                assert answer.status_code == status or (own and sent == secret), f"{method} {path} {answer.text}"
    after = await back.post("/verify")
    assert (after["sums_usd"], after["counts"]) == (before["sums_usd"], before["counts"])


async def test_every_request_that_changes_something_takes_an_idempotency_key(back: Back) -> None:
    """Every POST, and the others too."""
    paths = (await back.http.get("/api/v1/openapi.json")).json()["paths"]
    for path, item in paths.items():
        for method, operation in item.items():
            names = {one["name"] for one in operation.get("parameters", ())}
            assert ("idempotency-key" in names) == (method != "get"), f"{method} {path}"


async def test_the_page_for_people_needs_nothing_from_elsewhere(back: Back) -> None:
    """No scripts, no addresses; it names every route and every code."""
    answer = await back.http.get("/api/v1/docs")
    assert answer.headers["content-type"].startswith("text/html")
    assert not re.search(r"<script|https?://|<link|@import|src=", answer.text)
    for path in (await back.http.get("/api/v1/openapi.json")).json()["paths"]:
        assert path in answer.text
    assert all(code in answer.text for code in STATUSES)
