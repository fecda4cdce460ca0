"""Reading requests: JSON whose numbers keep their literals, no name twice, no name that does not exist, and a bound on everything.

Owns what is understood of a body. Does not own its meaning (`fields`, and each route's model).
"""

import json
import re
from collections.abc import Callable, Coroutine
from decimal import Decimal
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError
from starlette.exceptions import HTTPException

from farebox import limits
from farebox.control.problems import Problem, nearest
from farebox.exchange import Message, Receive, Scope, Send
from farebox.serving import Asgi


class UnreadableBody(HTTPException):
    """Carries a problem through the web framework, which lets only its own exceptions out of the reading of a body."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem.status, problem.detail)


class ExactRequest(Request):
    """A request whose JSON keeps decimals as they were written."""

    async def json(self) -> Any:
        try:
            return exact_json(await self.body())
        except Problem as problem:
            raise UnreadableBody(problem) from None


class ExactRoute(APIRoute):
    """A route that reads its body so, and knows the query parameters that it takes."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        inner = super().get_route_handler()

        async def handler(request: Request) -> Response:
            if "\0" in request.scope["path"]:
                raise _nul("path")
            self._check_query(request)
            return await inner(ExactRequest(request.scope, request.receive))

        return handler

    def _check_query(self, request: Request) -> None:
        """A misspelt parameter would be a filter that is silently not there."""
        if not request.query_params:
            return
        if b"%00" in request.scope["query_string"]:
            raise _nul("query")
        known = _query_names(self.dependant)
        for name in request.query_params:
            if name not in known:
                field = {"field": f"query.{name[:64]}", "problem": f"there is no such parameter{nearest(name, known)}"}
                raise Problem("invalid_request", f"{field['field']}: {field['problem']}", errors=[field])


def _query_names(dependant: Any) -> list[str]:
    names = [str(param.alias) for param in dependant.query_params]
    for inner in dependant.dependencies:
        names += _query_names(inner)
    return names


def exact_json(data: bytes) -> Any:
    """JSON with numbers that are not whole as Decimals. Raises a Problem."""
    try:
        text = data.decode("utf-8" if _PLAIN.match(data) else json.detect_encoding(data))
        value = _decoder.decode(text)
        if "\\u" in text:  # an escape may stand for half a character, which nothing can store or write
            json.dumps(value, ensure_ascii=False, default=str).encode()
    except RecursionError:
        raise Problem("invalid_json", "The body is nested too deep.") from None
    except ValueError as problem:  # UnicodeErrors and JSONDecodeErrors are; so is a whole number of more digits than anything has
        raise Problem("invalid_json", f"The body is not JSON: {problem}.") from None
    if "\\u0000" in text and _has_nul(value):
        raise _nul("body")
    return value


def _has_nul(value: Any) -> bool:
    """Whether there is a character in it that PostgreSQL has no text for; refused on every store alike."""
    if isinstance(value, dict):
        return any("\0" in name or _has_nul(inner) for name, inner in value.items())
    return any(map(_has_nul, value)) if isinstance(value, list) else isinstance(value, str) and "\0" in value


def _nul(where: str) -> Problem:
    words = "there is a NUL character in it, which no text here has"
    return Problem("invalid_request", f"{where}: {words}", errors=[{"field": where, "problem": words}])


_PLAIN = re.compile(rb"[\[{][^\0]")
"""Begins as no body in UTF-16 or UTF-32 does."""


def _decimal(literal: str) -> Decimal:
    return Decimal(literal)


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Problem("ambiguous_body", f"The name {twice[:64]!r} is there twice in one object.")
    return made


_decoder = json.JSONDecoder(parse_float=_decimal, parse_constant=_constant, object_pairs_hook=_pairs)


class Body(BaseModel):
    """A request body. Nothing is converted, and a name that does not exist is an error that names the nearest right one."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    @model_validator(mode="before")
    @classmethod
    def _known(cls, value: Any) -> Any:
        fields = cls.__pydantic_fields__
        for name in value if isinstance(value, dict) else ():
            if name not in fields:
                words = cls.unknown(str(name))
                raise PydanticCustomError("unknown_field", "{words}", {"words": words, "name": str(name)[:64]})
        return value

    @classmethod
    def unknown(cls, name: str) -> str:
        """What to say of a name that is not a field."""
        return f"there is no such field{nearest(name, cls.model_fields)}"


def bounded(app: Asgi) -> Asgi:
    """Refuses bodies that are larger than any request of this API."""

    async def limited(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        size = 0

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > limits.control_body_bytes_max:
                raise UnreadableBody(Problem("too_large", f"A body may have {limits.control_body_bytes_max} bytes."))
            return message

        await app(scope, counted, send)

    return limited
