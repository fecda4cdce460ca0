"""Embeddings, one or a batch of them: bounding what is embedded, and reading what it came to (providers.md §3.1). There is no output to bill."""

from typing import Any

import msgspec

from farebox.dialects import counts, fields
from farebox.dialects.base import Ask, Report, Route
from farebox.dialects.extras import Bounds
from farebox.dialects.gemini import spelling, usage
from farebox.dialects.gemini.content import Contents
from farebox.dialects.gemini.request import model_of, tokens_max
from farebox.dialects.gemini.tools import Tools
from farebox.dialects.gemini.usage import Parts
from farebox.dialects.meter import decode, flags_of
from farebox.dialects.strict import read_object
from farebox.usage import IN_TEXT, Demand, Usage

BATCH_MAX = 100
_REQUEST = spelling.shape(("content", "model", "embedContentConfig"), ("taskType", "title", "outputDimensionality"))
_ONCE_MORE = "how many tokens it adds to those of the medium is not known here."
_CONFIG = spelling.shape(
    (),
    ("taskType", "title", "outputDimensionality", "autoTruncate", "mimeType"),
    {"documentOcr": _ONCE_MORE, "audioTrackExtraction": _ONCE_MORE},
)
_UNKNOWN_NAMES_MAX = 32
_BATCH = spelling.shape(("requests", "model"))


class _Answer(msgspec.Struct, rename="camel"):
    embedding: Any = None
    embeddings: Any = None
    usage_metadata: Any = None
    error: Any = None


class _RawUsage(msgspec.Struct, rename="camel"):
    usage_metadata: msgspec.Raw = msgspec.Raw()


_ANSWER = msgspec.json.Decoder(_Answer)
_RAW_USAGE = msgspec.json.Decoder(_RawUsage)


def read_request(route: Route, body: bytes, admits: Bounds) -> Ask:
    """Reads and bounds a request: every input may fill the model's window."""
    written = read_object(body)
    batch = route.name == "batch_embed_contents"
    members, unknown = spelling.read(written, _BATCH if batch else _REQUEST)
    requests = spelling.objects(members.get("requests"), "requests") if batch else [members]
    if not 1 <= len(requests) <= BATCH_MAX:
        raise fields.invalid("requests", f"must be 1 to {BATCH_MAX} requests")
    model = model_of(route, members)
    route = msgspec.structs.replace(route, argument=model)
    extras = spelling.Extras(admits)
    contents = Contents(model, extras)
    for index, request in enumerate(requests):
        where = f"requests[{index}]." if batch else ""
        inner, more = spelling.read(request, _REQUEST, where)
        unknown += more if batch else ()
        model_of(route, inner, where)
        if type(inner.get("content")) is not dict:
            raise fields.invalid(where + "content", "is required and must be an object")
        contents.read(inner["content"], where + "content")
        spelling.read(fields.inner(inner, "embedContentConfig", where) or {}, _CONFIG, where + "embedContentConfig.")
    ask = Ask(
        dialect="gemini",
        route=route.name,
        model=model,
        stream=False,
        demand=Demand(
            input_tokens_max=tokens_max(body, written, contents, Tools()),
            input_units=(IN_TEXT, *sorted(contents.units)),
            output_units=(),
            prompts=len(requests),
        ),
        hidden_output=bool(contents.units),  # without a report there is only the bound, and media may be dearer than text
        unknown_fields=tuple(dict.fromkeys(unknown))[:_UNKNOWN_NAMES_MAX],
        messages=len(requests),
        names=frozenset(written),
    )
    return extras.onto(ask)


def read_answer(ask: Ask, body: bytes) -> Report:
    """Reads a whole answer. It does not name its model, and older versions of the API do not say what it came to."""
    answer = decode(_ANSWER, body)
    if answer is None:
        return Report(flags=("unreadable_answer",))
    found, flags = _usage(ask, answer.usage_metadata, body)
    return Report(
        usage=found,
        finished=answer.error is None and (type(answer.embedding) is dict or type(answer.embeddings) is list),
        upstream_error=answer.error is not None,
        flags=flags_of(found, flags),
    )


def _usage(ask: Ask, said: Any, body: bytes) -> tuple[Usage | None, list[str]]:
    if said is None:
        return None, []
    if type(said) is not dict:
        return None, [counts.ABSURD]
    raw = decode(_RAW_USAGE, body)
    found = usage.read_input(Parts(said, bytes(raw.usage_metadata) if raw is not None else b""), ask, model_served="")
    return (None, [found]) if isinstance(found, str) else (found, [])
