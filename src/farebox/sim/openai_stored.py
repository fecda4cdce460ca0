"""What can be done with a response after it was created: read it, follow it, cancel it, forget it, list its input; and counting and compacting.

Nothing here stands on the bill but compacting; cancelling changes what the response itself is billed.
"""

from collections.abc import Iterator

import msgspec

from .bill import State, settle
from .desk import Desk, admit, check_model
from .dialect import Frame
from .generation import Generation
from .openai_dialect import within
from .openai_items import forget
from .openai_response import asked_of, response, response_id, status_at_end
from .openai_response_stream import frames
from .openai_responses import Responses, Stored
from .refusals import RefusedError, invalid
from .replies import Reply
from .wire import SSE, Request

_ITEMS_DEFAULT = 20
_ITEMS_MAX = 100
_encode = msgspec.json.encode


class Compacting(Responses):
    """`/v1/responses/compact`: the conversation made smaller. Billed as a call."""

    def answer(self, generation: Generation) -> bytes:
        """A `response.compaction`."""
        whole = response(generation, "completed")
        stem = generation.stem.decode()
        item = {"id": f"cmp_{stem}", "type": "compaction", "encrypted_content": "c2ltdWxhdGVk"}
        named = {"id": response_id(generation), "object": "response.compaction", "created_at": generation.created_s}
        return _encode({**named, "output": [item], "usage": whole["usage"]})

    def frames(self, generation: Generation) -> Iterator[Frame]:
        """It is never streamed: the same object, whatever was asked."""
        yield self.answer(generation), generation.output_total


def create(desk: Desk, request: Request) -> Reply:
    """A response."""
    return desk.generate(Responses(desk.kept), request)


def compact(desk: Desk, request: Request) -> Reply:
    """A compaction."""
    return desk.generate(Compacting(desk.kept), request)


def count(desk: Desk, request: Request) -> Reply:
    """How many input tokens a response would have."""
    dialect = Responses(desk.kept)
    admit(dialect, request)
    model, tokens = dialect.count(request.body)
    check_model(dialect, model)
    return desk.answer(dialect, request, _encode({"object": "response.input_tokens", "input_tokens": tokens}))


def retrieve(desk: Desk, request: Request) -> Reply:
    """A response as it is now, or its events."""
    dialect, stored = _stored(desk, request)
    query = request.query()
    if query.get("stream") != "true":
        return desk.answer(dialect, request, _encode(_now(stored)))
    asked = asked_of(stored.generation)
    if not (asked.background and asked.streamed):
        raise invalid("Only responses created with 'background' and 'stream' can be streamed again.", param="stream")
    after = query.get("starting_after", "-1")
    if not after.removeprefix("-").isdecimal():
        raise invalid("Invalid type for 'starting_after': expected an integer.", param="starting_after")
    stored.polls_left = 0
    return desk.answer(dialect, request, b"".join([data for data, _ in frames(stored.generation, int(after))]), content_type=SSE)


def cancel(desk: Desk, request: Request) -> Reply:
    """A response in the background stopped. One that is over stays as it is."""
    dialect, stored = _stored(desk, request)
    if not asked_of(stored.generation).background:
        raise invalid("Cannot cancel a synchronous response.")
    if stored.polls_left and stored.cancelled_output is None:
        stored.cancelled_output = stored.generation.output_total
        call = desk.bill.find(stored.generation.id)
        if call is not None:
            settle(call, stored.generation, State.ABORTED)
            stored.cancelled_output = call.output
    return desk.answer(dialect, request, _encode(_shown(stored)))


def delete(desk: Desk, request: Request) -> Reply:
    """A response forgotten, and its items with it."""
    dialect, stored = _stored(desk, request)
    name = response_id(stored.generation)
    desk.kept.drop(name)
    forget(desk.kept, stored.generation)
    return desk.answer(dialect, request, _encode({"id": name, "object": "response", "deleted": True}))


def input_items(desk: Desk, request: Request) -> Reply:
    """What a response was asked, a page of it; the last item first, unless the first one shall be."""
    dialect, stored = _stored(desk, request)
    query = request.query()
    limit = query.get("limit", str(_ITEMS_DEFAULT))
    size = within("limit", int(limit) if limit.isdecimal() else 0, 1, _ITEMS_MAX, _ITEMS_DEFAULT)
    found = list(asked_of(stored.generation).input)
    if query.get("order", "desc") == "desc":
        found.reverse()
    names = [str(item["id"]) for item in found]
    start = names.index(query["after"]) + 1 if query.get("after") in names else 0
    page = found[start : start + size]
    ends = {"first_id": page[0]["id"] if page else "", "last_id": page[-1]["id"] if page else ""}
    return desk.answer(dialect, request, _encode({"object": "list", "data": page, **ends, "has_more": start + size < len(found)}))


def _stored(desk: Desk, request: Request) -> tuple[Responses, Stored]:
    dialect = Responses(desk.kept)
    admit(dialect, request)
    name = request.arguments["id"]
    stored = desk.kept.get(name)
    if not isinstance(stored, Stored):
        raise RefusedError(404, f"Response with id '{name[:80]}' not found.", param="id")
    return dialect, stored


def _now(stored: Stored) -> dict[str, object]:
    """The response, one poll further."""
    shown = _shown(stored)
    if stored.polls_left and stored.cancelled_output is None:
        stored.polls_left -= 1
    return shown


def _shown(stored: Stored) -> dict[str, object]:
    if stored.cancelled_output is not None:
        return response(stored.generation, "cancelled", stored.cancelled_output)
    return response(stored.generation, "in_progress" if stored.polls_left else status_at_end(stored.generation))
