"""Runs one program with a client: told line by line where, it answers with one line of JSON of what every ask came to.

Only this file knows that there is a test. A program is a class that is made with a host and a key; each public method is one ask,
written as anyone would write it with that client.
"""

import asyncio
import dataclasses
import enum
import inspect
import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, TextIO

import pydantic

IMAGE = "iVBORw0KGgoAAAANSUhEUgAAABAAAAAQAQAAAAA3iMLMAAAADklEQVR42mP4z8BACgIAhrcP8R06V9gAAAAASUVORK5CYII="
"""A picture of sixteen pixels by sixteen: PNG in base64."""


class Line(enum.StrEnum):
    EAST = "east"
    WEST = "west"


class Stop(pydantic.BaseModel):
    line: Line
    fare_cents: int
    zone: int | None


class Trip(pydantic.BaseModel):
    """What a model is asked for where it answers in a form: what the schemas of all APIs can say."""

    place: str
    first: Stop
    others: list[Stop]
    open: bool


class Program(Protocol):
    def __call__(self, url: str, key: str) -> object: ...


def run(program: Program) -> None:
    """Until there are no more lines."""
    lines, sys.stdout = sys.stdout, sys.stderr  # what a client prints is no answer of ours
    with asyncio.Runner() as runner:
        for line in sys.stdin:
            told = json.loads(line)
            _answer(program(told["url"], told["key"]), runner, lines)


def _answer(asks: object, runner: asyncio.Runner, lines: TextIO) -> None:
    names = [name for name, ask in vars(type(asks)).items() if inspect.isfunction(ask) and not name.startswith("_")]
    json.dump({name: _result(asks, name, runner) for name in names}, lines)
    lines.write("\n")
    lines.flush()


def _result(asks: object, name: str, runner: asyncio.Runner) -> object:
    try:
        given = getattr(asks, name)()
        return plain(runner.run(given) if inspect.iscoroutine(given) else given)
    except Exception as raised:  # noqa: BLE001 - whatever the client raises is what this ask came to
        return {"raised": type(raised).__name__, "status": _status(raised), "said": _said(raised)}


def _said(raised: Exception) -> str:
    """Its words, without the headers of the answer that some put among them."""
    return str(getattr(raised, "body", raised) if hasattr(raised, "headers") else raised)


def _status(raised: Exception) -> object:
    """Where clients keep the HTTP status of an error."""
    if isinstance(response := getattr(raised, "response", None), dict):
        return response["ResponseMetadata"]["HTTPStatusCode"]
    return getattr(raised, "status_code", None) or (code if isinstance(code := getattr(raised, "code", None), int) else None)


def plain(value: Any) -> Any:
    """What a client gives, as JSON has it."""
    if hasattr(value, "model_dump"):
        return plain(value.model_dump(exclude_unset=True, exclude={"sdk_http_response"}))  # google-genai's: the head of the answer
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return plain(dataclasses.asdict(value))
    if isinstance(value, bytes):
        return {"bytes": len(value), "first": value[:16].hex(), "last": value[-16:].hex()}
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [plain(inner) for inner in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
