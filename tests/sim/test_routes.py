"""The table of routes, and what is kept between calls."""

import pytest

from farebox.sim.desk import KEPT_MAX, Desk, Kept
from farebox.sim.refusals import RefusedError
from farebox.sim.replies import Reply, plain
from farebox.sim.routes import Route, Table
from farebox.sim.wire import Request


def nothing(desk: Desk, request: Request) -> Reply:
    del desk
    return plain(request, b"")


TABLE = Table(
    [
        Route("GET", "/things", nothing),
        Route("POST", "/things/count", nothing),
        Route("GET", "/things/{id}", nothing),
        Route("DELETE", "/things/{id}", nothing),
        Route("POST", "/things/{id}:run", nothing),
    ]
)


@pytest.mark.parametrize(
    ("method", "path", "found", "arguments"),
    [
        (b"GET", b"/things", "/things", {}),
        (b"POST", b"/things/count", "/things/count", {}),
        (b"GET", b"/things/count", "/things/{id}", {"id": "count"}),
        (b"DELETE", b"/things/a%2Fb", "/things/{id}", {"id": "a/b"}),
        (b"POST", b"/things/a:b:run", "/things/{id}:run", {"id": "a:b"}),
    ],
)
def test_fixed_paths_come_before_those_with_arguments(method: bytes, path: bytes, found: str, arguments: dict[str, str]) -> None:
    """An argument is one segment, decoded."""
    route, values = TABLE.find(method, path)
    assert (route.path, dict(values)) == (found, arguments)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        (b"PUT", b"/things", 405),
        (b"PUT", b"/things/a", 405),
        (b"DELETE", b"/things/a:run/b", 404),
        (b"GET", b"/things/", 404),
        (b"GET", b"/thingsx", 404),
        (b"GET", b"\xff", 404),
    ],
)
def test_path_that_is_there_is_told_from_one_that_is_not(method: bytes, path: bytes, status: int) -> None:
    """Another method or nothing at all."""
    with pytest.raises(RefusedError) as refused:
        TABLE.find(method, path)
    assert refused.value.status == status


def test_oldest_of_what_is_kept_leaves_first() -> None:
    """A simulator that runs for days does not grow for days."""
    kept = Kept()
    for number in range(KEPT_MAX + 1):
        kept.put(str(number), number)
    assert (kept.get("0"), kept.get("1"), kept.get(str(KEPT_MAX))) == (None, 1, KEPT_MAX)
    assert (kept.drop("1"), kept.drop("1")) == (True, False)
