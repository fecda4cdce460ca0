"""Anthropic's usage objects, as an answer, the beginning of a stream and its end tell them. Pure.

The buckets are disjoint: what is read from the cache or written to it is not in `input_tokens`.
"""

from typing import NamedTuple

import msgspec

from .anthropic_asked import Extras
from .generation import Generation

_USAGE = (
    b'{"input_tokens":%d,"cache_creation_input_tokens":%d,"cache_read_input_tokens":%d%b,'
    b'"output_tokens":%d%b,"service_tier":"standard","speed":"%b","inference_geo":"%b"}'
)
_SPLIT = b',"cache_creation":{"ephemeral_5m_input_tokens":%d,"ephemeral_1h_input_tokens":%d}'
_DELTA_USAGE = (
    b'{"input_tokens":%d,"cache_creation_input_tokens":%d,"cache_read_input_tokens":%d,'
    b'"output_tokens":%d,"output_tokens_details":{"thinking_tokens":%d}%b}'
)
_encode = msgspec.json.encode


class Counts(NamedTuple):
    """The disjoint buckets of one run of a model."""

    input: int
    written: int
    written_1h: int
    read: int
    output: int


def counts_of(generation: Generation) -> Counts:
    """The run that answers."""
    written = generation.cache_write
    hour = written if generation.terms.cache_ttl == "1h" else generation.cache_write_1h
    return Counts(generation.ask.prompt - generation.cached - written, written, hour, generation.cached, generation.output_total)


def whole_usage(generation: Generation) -> bytes:
    """Everything, as an answer at once tells it."""
    details = b',"output_tokens_details":{"thinking_tokens":%d}' % generation.reasoning
    return _usage(generation, _top(generation), details + _more(generation))


def opening_usage(generation: Generation) -> bytes:
    """What the beginning of a stream knows: the input as it was sent, and a first token."""
    counts = counts_of(generation)
    extras = generation.ask.detail
    grown = min(extras.grown, counts.input) if isinstance(extras, Extras) else 0
    return _usage(generation, counts._replace(input=counts.input - grown, output=min(1, counts.output)), b"")


def delta_usage(generation: Generation, output: int, *, last: bool) -> bytes:
    """What the end of a stream tells, or one that comes before it: all of the input, and so much of the output."""
    counts = _top(generation)
    more = _more(generation) if last else b""
    return _DELTA_USAGE % (counts.input, counts.written, counts.read, output, min(output, generation.reasoning_total), more)


def _top(generation: Generation) -> Counts:
    """What stands at the top: the runs of type `message`, but for those that declined."""
    counts = counts_of(generation)
    extras = generation.ask.detail
    again = isinstance(extras, Extras) and "message" in extras.runs
    return counts._replace(input=counts.input + generation.ask.prompt) if again else counts


def _usage(generation: Generation, counts: Counts, more: bytes) -> bytes:
    terms = generation.terms
    split = _split(generation, counts)
    return _USAGE % (counts.input, counts.written, counts.read, split, counts.output, more, terms.speed.encode(), terms.geo.encode())


def _split(generation: Generation, counts: Counts) -> bytes:
    how = generation.ask.words.cache_split
    if how == "missing":
        return b""
    short, hour = counts.written - counts.written_1h, counts.written_1h
    return _SPLIT % ((short // 2, hour // 2) if how == "mismatch" else (short, hour))


def _more(generation: Generation) -> bytes:
    """The use of tools on the provider's side, and the iterations."""
    extras = generation.ask.detail
    if not isinstance(extras, Extras):
        return b""
    used = b""
    if extras.searches or extras.failed_searches or extras.pages:
        used = b',"server_tool_use":{"web_search_requests":%d,"web_fetch_requests":%d}' % (extras.searches, extras.pages)
    return used + b',"iterations":' + _encode(_iterations(generation, extras)) if extras.runs else used


def _iterations(generation: Generation, extras: Extras) -> list[dict[str, object]]:
    """Every run of a model, the one that answers last."""
    prompt, model = generation.ask.prompt, generation.ask.model
    outputs = {
        "compaction": ("compaction", None, extras.side_output),
        "advisor_message": ("advisor_message", extras.advisor, extras.advisor_output),
        "fallback_message": ("message", extras.requested, 0),
        "fallback_output": ("message", extras.requested, extras.side_output),
        "unknown": ("sim_rehearsal", None, extras.side_output),
    }
    runs = [
        _iteration(kind, model, Counts(prompt, 0, 0, 0, output))
        for kind, model, output in (outputs[run] for run in extras.runs if run in outputs)
    ]
    main = counts_of(generation)
    if "message" in extras.runs:
        half = main.output // 2
        runs.append(_iteration("message", None, Counts(prompt, 0, 0, 0, half)))
        main = main._replace(output=main.output - half)
    fell_back = model != extras.requested
    runs.append(_iteration("fallback_message" if fell_back else "message", model if fell_back else None, main))
    return runs


def _iteration(kind: str, model: str | None, counts: Counts) -> dict[str, object]:
    told: dict[str, object] = {
        "type": kind,
        "input_tokens": counts.input,
        "output_tokens": counts.output,
        "cache_read_input_tokens": counts.read,
        "cache_creation_input_tokens": counts.written,
        "cache_creation": {
            "ephemeral_5m_input_tokens": counts.written - counts.written_1h,
            "ephemeral_1h_input_tokens": counts.written_1h,
        },
    }
    if model is not None:
        told["model"] = model
    return told
