"""The simulator's own pages: its calls, its bill, keys that it refuses, starting again. They cost nothing and need no credential."""

import msgspec

from .bill import ROWS_MAX
from .desk import REFUSED_KEYS_MAX, Desk
from .refusals import invalid
from .replies import Reply, plain
from .routes import Route
from .wire import Request

_STATUSES = frozenset(map(str, range(400, 600)))


def _calls(desk: Desk, request: Request) -> Reply:
    query = request.query()
    try:
        rows, more_after = desk.bill.rows(query.get("label"), query.get("after"), ROWS_MAX)
    except ValueError as problem:
        raise invalid(str(problem)) from None
    return plain(request, msgspec.json.encode({"data": rows, "next": more_after}))


def _totals(desk: Desk, request: Request) -> Reply:
    by = request.query().get("by", "label")
    if by not in {"label", "model"}:
        raise invalid("by is label or model")
    return plain(request, msgspec.json.encode(desk.bill.totals("model" if by == "model" else "label")))


def _keys(desk: Desk, request: Request) -> Reply:
    """Have a key refused from now on; without a status, taken again."""
    query = request.query()
    key, status = query.get("key", "").encode(), query.get("status", "")
    if not key or (status and (status not in _STATUSES or len(desk.refused_keys) >= REFUSED_KEYS_MAX)):
        raise invalid("key is a key, and status an error status from 400 to 599, or left out")
    if status:
        desk.refused_keys[key] = int(status), query.get("code", "")
    else:
        desk.refused_keys.pop(key, None)
    return plain(request, msgspec.json.encode({"refused": len(desk.refused_keys)}))


def _reset(desk: Desk, request: Request) -> Reply:
    desk.bill.reset()
    desk.kept.clear()
    desk.refused_keys.clear()
    return plain(request, b'{"reset":true}')


ROUTES = (
    Route("GET", "/sim/calls", _calls),
    Route("GET", "/sim/bill", _totals),
    Route("POST", "/sim/reset", _reset),
    Route("POST", "/sim/keys", _keys),
    Route("HEAD", "/", lambda _desk, request: plain(request, b"")),
)
