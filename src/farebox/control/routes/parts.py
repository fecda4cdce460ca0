"""What the routes share: parameters of pages, and how a router and its answers are declared."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query

from farebox import limits
from farebox.control.body import ExactRoute
from farebox.control.fields import Id
from farebox.control.shapes import Shape
from farebox.control.wire import Json
from farebox.ledger.commands import Done

Limit = Annotated[int, Query(ge=1, le=limits.page_rows_max, description="Rows per page.")]
Cursor = Annotated[str | None, Query(max_length=1024, description="The next_cursor of the page before.")]
AccountFilter = Annotated[Id | None, Query(description="Of this account.")]
KeyFilter = Annotated[Id | None, Query(description="Of this key.")]
PAGE = limits.page_rows_default


def router(tag: str) -> APIRouter:
    """A router whose bodies are read exactly."""
    return APIRouter(tags=[tag], route_class=ExactRoute, default_response_class=Json)


def answers(shape: type[Shape], status: int = 200, *, csv: bool = False) -> dict[int | str, dict[str, Any]]:
    """How a route's good answer is described."""
    described: dict[str, Any] = {"model": shape}
    if csv:
        described["content"] = {"text/csv": {"schema": {"type": "string"}}}
    return {status: described}


def told(done: Done) -> Mapping[str, str]:
    """Headers of an answer: whether the request was carried out before."""
    return {"x-farebox-replayed": "1"} if done.repeated else {}
