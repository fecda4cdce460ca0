"""How the gateway is: alive, ready, its figures; and whether its books add up."""

from typing import Any

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from farebox import __version__
from farebox.control.caller import BEARER, AFullAdmin, AnAsk, AnOffice, admin_only, anyone, full_scope
from farebox.control.problems import Problem
from farebox.control.routes.parts import answers, router
from farebox.control.shapes import Alive, VerdictOut
from farebox.control.wire import Json
from farebox.money import format_usd
from farebox.settings import Settings, is_loopback, parse_address
from farebox.store.verify import Verdict, verify

ROUTER = router("verify")
OUTSIDE = APIRouter(tags=["health"], default_response_class=Json)
"""Routes outside `/api/v1`, without a key."""


@ROUTER.post("/verify", responses=answers(VerdictOut))
async def verify_books(office: AnOffice, _caller: AFullAdmin, _asked: AnAsk) -> Json:
    """Recomputes every balance from its rows. 200 and what was checked; 409 and what does not hold."""
    verdict = await office.work(lambda: verify(office.context.store))
    shown = _shown(verdict)
    if not verdict.ok:
        broken = ", ".join(finding.invariant for finding in verdict.findings)
        raise Problem("does_not_hold", f"These do not hold: {broken}.", **shown)
    return Json(shown)


def _shown(verdict: Verdict) -> dict[str, Any]:
    wrong = {finding.invariant: finding for finding in verdict.findings}
    return {
        "ok": verdict.ok,
        "invariants": [
            {
                "name": name,
                "ok": name not in wrong,
                "rows": wrong[name].rows if name in wrong else 0,
                "examples": wrong[name].examples if name in wrong else [],
            }
            for name in verdict.checked
        ],
        "counts": verdict.counts,
        "sums_usd": {name: format_usd(nano) for name, nano in verdict.sums.items()},
    }


@OUTSIDE.get("/healthz", responses=answers(Alive))
async def healthz() -> Json:
    """Whether the process is alive."""
    return Json({"status": "ok", "version": __version__})


@OUTSIDE.get("/readyz", responses=answers(Alive))
async def readyz(office: AnOffice) -> Json:
    """Whether the gateway takes calls: 503 says why not."""
    why = office.context.ready()
    if why:
        raise Problem("not_ready", f"The gateway is {why}.", reason=why)
    return Json({"status": "ready", "version": __version__})


def is_exposed(settings: Settings) -> bool:
    """Whether the control plane shares an address with callers that are not on this machine."""
    host, _ = parse_address(settings.server.listen, "server.listen")
    return settings.server.admin_listen is None and not is_loopback(host)


@OUTSIDE.get("/metrics", include_in_schema=False)
async def show_metrics(office: AnOffice, request: Request) -> Response:
    """Figures for Prometheus. Where others than this machine can reach them, only for an admin key of the whole installation."""
    if is_exposed(office.context.settings):
        await full_scope(await admin_only(await anyone(office, await BEARER(request))))
    office.context.figures()
    return Response(office.context.exposition(), media_type=CONTENT_TYPE_LATEST)
