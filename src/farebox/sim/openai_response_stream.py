"""The events of a streamed response, in their order, each with its sequence number and the output tokens it carries. Pure."""

from collections.abc import Iterator

import msgspec

from .dialect import Frame
from .generation import Generation, argument_pieces, pieces, text
from .openai_response import FAILURE, PICTURE, Item, annotations, asked_of, function_call, items, message, response, status_at_end

Event = dict[str, object]
_STAGES = {
    "web_search_call": ("in_progress", "searching", "completed"),
    "file_search_call": ("in_progress", "searching", "completed"),
    "code_interpreter_call": ("in_progress", "interpreting", "completed"),
    "image_generation_call": ("in_progress", "generating", "completed"),
}
_NOT_YET = {"status": "in_progress"}


def frames(generation: Generation, after: int = -1) -> Iterator[Frame]:
    """The events as they are written, those after a sequence number only."""
    for number, (event, tokens) in enumerate(_events(generation)):
        if number > after:
            yield frame(event, number), tokens


def frame(event: Event, number: int) -> bytes:
    """One event as it is written."""
    event["sequence_number"] = number
    return b"event: %b\ndata: %b\n\n" % (str(event["type"]).encode(), msgspec.json.encode(event))


def _events(generation: Generation) -> Iterator[tuple[Event, int]]:
    queued = asked_of(generation).background
    for kind, status in (("created", "queued" if queued else "in_progress"), *([("queued", "queued")] if queued else [])):
        yield {"type": f"response.{kind}", "response": response(generation, status)}, 0
    yield {"type": "response.in_progress", "response": response(generation, "in_progress")}, 0
    hidden = generation.reasoning
    for index, item in enumerate(items(generation)):
        for event, tokens in _item_events(generation, item):
            event["output_index"] = index
            yield event, tokens + (hidden if tokens else 0)
            hidden = 0 if tokens else hidden
    if generation.ask.words.end == "error":
        yield {"type": "error", "code": generation.ask.words.code or "server_error", "message": FAILURE, "param": None}, 0
        return
    status = status_at_end(generation)
    yield {"type": f"response.{status}", "response": response(generation, status)}, 0


def _item_events(generation: Generation, item: Item) -> Iterator[tuple[Event, int]]:
    kind = str(item["type"])
    if kind == "message":
        yield from _message_events(generation, item)
    elif kind == "function_call":
        yield from _call_events(generation, item)
    else:
        yield {"type": "response.output_item.added", "item": {**item, **_NOT_YET} if "status" in item else item}, 0
        for stage in _STAGES.get(kind, ()):
            if stage == "completed" and kind == "image_generation_call":
                yield from _partials(generation, item)
            yield {"type": f"response.{kind}.{stage}", "item_id": item["id"]}, 0
        yield {"type": "response.output_item.done", "item": item}, 0


def _message_events(generation: Generation, item: Item) -> Iterator[tuple[Event, int]]:
    place = {"item_id": item["id"], "content_index": 0}
    empty = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    yield {"type": "response.output_item.added", "item": {**message(generation, ""), **_NOT_YET, "content": []}}, 0
    yield {"type": "response.content_part.added", **place, "part": empty}, 0
    for piece, tokens in pieces(generation):
        yield {"type": "response.output_text.delta", **place, "delta": piece, "logprobs": []}, tokens
    said = text(generation)
    cited = annotations(generation)
    for index, annotation in enumerate(cited):
        yield {"type": "response.output_text.annotation.added", **place, "annotation_index": index, "annotation": annotation}, 0
    yield {"type": "response.output_text.done", **place, "text": said, "logprobs": []}, 0
    yield {"type": "response.content_part.done", **place, "part": {**empty, "text": said, "annotations": cited}}, 0
    yield {"type": "response.output_item.done", "item": item}, 0


def _call_events(generation: Generation, item: Item) -> Iterator[tuple[Event, int]]:
    yield {"type": "response.output_item.added", "item": {**function_call(generation, ""), **_NOT_YET}}, 0
    for piece, tokens in argument_pieces(generation):
        yield {"type": "response.function_call_arguments.delta", "item_id": item["id"], "delta": piece}, tokens
    done = {"item_id": item["id"], "name": item["name"], "arguments": item["arguments"]}
    yield {"type": "response.function_call_arguments.done", **done}, 0
    yield {"type": "response.output_item.done", "item": item}, 0


def _partials(generation: Generation, item: Item) -> Iterator[tuple[Event, int]]:
    for index in range(asked_of(generation).tools.partials):
        yield (
            {
                "type": "response.image_generation_call.partial_image",
                "item_id": item["id"],
                "partial_image_index": index,
                "partial_image_b64": PICTURE,
            },
            0,
        )
