"""Routes that OpenAI does not charge for: moderations, and counting the input of a response (providers.md §1.2, §1.4).

Owns which model they are about, so that a key that may not use it may not ask. Nothing of them is metered.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import Any

from farebox import limits
from farebox.dialects import fields
from farebox.dialects.base import Ask, Report, Route, StreamMeter
from farebox.dialects.openai.chat import with_model_and_cap
from farebox.dialects.openai.whole import WholeMeter
from farebox.dialects.strict import Members, read_object
from farebox.usage import Demand

_FREE = Demand(input_tokens_max=0, output_units=())
_WITHIN = {"file_id": "file", "file_ids": "file", "vector_store_ids": "vector_store"}
"""Names of kept objects wherever they stand in what is counted: in a part of the input, in a tool."""
Within = Callable[[Members], Iterable[tuple[str, str]]]
"""Finds the kind and id of objects that a request names."""


class FreeRoute:
    """A JSON body with a model, which may be left out."""

    def __init__(self, *read: str, kept: Mapping[str, str] | None = None, within: Within | None = None) -> None:
        """`read`: names beside `model` that may not stand in another spelling. `kept`: names of objects, and of what kind each is. `within`: what
        else names objects.
        """
        self._kept = dict(kept or {})
        self._within = within
        self._names = fields.names(("model", *read, *self._kept))

    def ask(self, route: Route, body: bytes, headers: Mapping[bytes, bytes]) -> Ask:  # noqa: ARG002 - nothing is metered
        """Reads a request: its model, and which objects it is about."""
        members = read_object(body)
        unknown = fields.examine(members, self._names)
        model = "" if members.get("model") is None else fields.text(members, "model", length_max=limits.model_name_chars_max)
        return Ask(
            dialect="openai",
            route=route.name,
            model=model,
            stream=False,
            demand=_FREE,
            unknown_fields=unknown,
            names=frozenset(members),
            uses=_few(
                ((kind, identifier) for name, kind in self._kept.items() if (identifier := _id(members, name))),
                self._within(members) if self._within is not None else (),
                _within(members) if self._kept else (),
            ),
        )

    def rewrite(self, ask: Ask, body: bytes, *, model: str | None, output_cap: int | None) -> bytes:  # noqa: ARG002 - no output
        """Sets the model, where one is named."""
        return with_model_and_cap(ask, body, model=model or None, output_cap=None)

    def read_answer(self, ask: Ask, body: bytes, headers: Mapping[bytes, bytes]) -> Report:  # noqa: ARG002 - nothing is metered
        """Nothing is read."""
        return Report(finished=True)

    def stream(self, ask: Ask, headers: Mapping[bytes, bytes]) -> StreamMeter:
        """Gathers the answer: there is no stream."""
        return WholeMeter(lambda body: self.read_answer(ask, body, headers))


def _few(*named: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """All that is named. No more is read than may be: who asks for nothing that is paid for must not hold up those who do."""
    found = tuple(islice(chain.from_iterable(named), limits.request_objects_max + 1))
    if len(found) > limits.request_objects_max:
        raise fields.too_many_objects()
    return found


def _within(members: Members) -> Iterator[tuple[str, str]]:
    """The kind and id of every object that is named somewhere inside."""
    waiting: list[Any] = [members]
    while waiting:
        value = waiting.pop()
        if type(value) is list:
            waiting += value
        elif type(value) is dict:
            for name, inner in value.items():
                for one in (inner if type(inner) is list else (inner,)) if name in _WITHIN else ():
                    if type(one) is str:
                        yield _WITHIN[name], one
                waiting.append(inner)


def _id(members: Members, name: str) -> str:
    """The id of an object, alone or as the member of one."""
    value = members.get(name)
    if type(value) is dict:
        return fields.text(value, "id", length_max=limits.object_id_chars_max)
    return "" if value is None else fields.text(members, name, length_max=limits.object_id_chars_max)
