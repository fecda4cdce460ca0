"""What must hold whatever the bytes are, of requests, answers, streams and errors: the rules that every fuzz test checks.

Each check takes one route as it is spoken, and bytes. What it raises, other than an AssertionError, is a fault as well.
"""

import gc
import json
import types
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, get_args

import msgspec

from farebox import limits
from farebox.dialects.base import Ask, Fault, Report, StreamMeter
from farebox.dialects.counting import how
from farebox.dialects.openai.multipart import Form
from farebox.errors import Internal, Refusal
from farebox.usage import ALL_UNITS, Conditions, Demand, Usage
from fuzz.examples import Example
from fuzz.spoken import Spoken

BOUND_MAX = 10**13
"""More than the bound of anything that fits into a request: a larger number is one that somebody else chose."""
UNITS_MAX = 10**14
REFUSAL_BYTES_MAX = 2**13
CAP = 77
_FAULTS = frozenset(get_args(Fault))
_REQUEST_ID = "req_1"
_SET = (
    "model",
    "model_id",
    "stream_options",
    "stream_format",
    "max_tool_calls",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
)
_SET_WITHIN = ("generationConfig", "generation_config", "inferenceConfig")
_SET_CAPS = ("maxOutputTokens", "max_output_tokens", "maxTokens")
_EVERY_REQUEST = ("requests", "generateContentRequest", "generate_content_request")
"""Of counts and batches, which name a model once more in each request."""

# --- requests -------------------------------------------------------------------------------------------------------------------------


def check_request(one: Spoken, example: Example) -> Ask | None:
    """A request is read, or refused in words that its caller can read; what is read is bounded, and its rewrite is the same request."""
    try:
        ask = one.ask(example)
    except Refusal as refusal:
        check_refusal(one, refusal)
        return None
    check_ask(ask)
    check_rewrites(one, example, ask)
    check_counted(one, example, ask)
    return ask


def check_ask(ask: Ask) -> None:
    """Numbers that the quote can be made of, and names that may be logged and stored."""
    check_demand(ask.demand)
    assert ask.messages >= 0
    assert ask.tools >= 0
    assert ask.model.isprintable()
    assert len(ask.model) <= 512
    assert len(ask.unknown_fields) <= 64
    assert all(name.isprintable() and len(name) <= 200 for name in ask.unknown_fields)
    for kind, name in ask.uses:
        assert kind.isidentifier()
        assert name.isprintable()
        assert len(name) <= 512
    assert ask.own_input_max is None or 0 <= ask.own_input_max <= BOUND_MAX
    if ask.background:
        msgspec.json.encode(ask.facts)


def check_demand(demand: Demand) -> None:
    """Every number is an integer with a bound, and every unit is known."""
    numbers = [value for value in msgspec.structs.astuple(demand) if type(value) in (int, float)]
    for number in (*numbers, *demand.fees_max.values()):
        assert type(number) is int
        assert 0 <= number <= BOUND_MAX
    assert {*demand.input_units, *demand.output_units, *demand.fees_max} <= ALL_UNITS
    assert not demand.output_tokens_named or demand.output_tokens_min <= demand.output_tokens_named
    assert 1 <= demand.choices <= limits.choices_max * 1000 * limits.request_json_values_max
    assert 1 <= demand.prompts <= limits.request_json_values_max
    assert demand.conditions
    assert all(type(under) is Conditions for under in demand.conditions)
    for other in demand.others:
        assert other.model.isprintable()
        assert other.demand.output_tokens_named is not None
        check_demand(other.demand)


def check_rewrites(one: Spoken, example: Example, ask: Ask) -> None:
    """What is sent reads back as the same request with the model and the cap that were set, and sets nothing a second time."""
    if one.route.kind == "owned":
        return
    as_it_is = one.dialect.rewrite(ask, example.body, model=None, output_cap=None)
    _same_request(one, example, ask, as_it_is)
    cap = CAP if ask.demand.output_units and ask.demand.output_tokens_named != 0 else None
    model = _other_model(one, example, ask)
    sent = one.dialect.rewrite(ask, example.body, model=model, output_cap=cap)
    again = _same_request(one, example, ask, sent)
    assert again.model == (ask.model if one.route.provider else model or ask.model)
    if cap is not None and one.route.kind == "metered":
        assert again.demand.output_tokens_named == CAP
    assert one.dialect.rewrite(again, sent, model=None, output_cap=None) == sent


def _other_model(one: Spoken, example: Example, ask: Ask) -> str | None:
    """The model of a rewrite: one of the same family, so that it is read alike. A path that names a model names it after the rewrite, too."""
    if one.route.provider:
        return one.route.argument
    return f"other/{ask.model.rpartition('/')[2]}" if ask.model and not (example.model or one.route.argument) else None


def _same_request(one: Spoken, example: Example, ask: Ask, sent: bytes) -> Ask:
    """What is sent, read again: nothing that was taken is refused with another model of its family, or another cap."""
    if isinstance(ask.facts, Form) or example.content_type.startswith(b"multipart/"):
        assert _texts(example, sent) == _texts(example, example.body)
    else:
        assert outline(sent) == outline(example.body)
    again = one.ask(msgspec.structs.replace(example, body=sent))
    check_ask(again)
    assert (again.stream, again.tools, again.messages, again.uses) == (ask.stream or again.stream, ask.tools, ask.messages, ask.uses)
    assert set(again.unknown_fields) == set(ask.unknown_fields)
    return again


def outline(body: bytes) -> Any:
    """A JSON body without what a rewrite may set: each member's name and value as they were written, byte for byte, in their order."""
    members = [(name, _inner(name, written)) for name, written in written_members(body.decode()) if name not in _SET]
    return [(name, written) for name, written in members if written is not None]


def _inner(name: str, written: str) -> Any:
    if name in _SET_WITHIN:
        inner = [pair for pair in written_members(written) if pair[0] not in _SET_CAPS] if written.startswith("{") else []
        return inner or None
    if name in _EVERY_REQUEST:
        return json.dumps(_without_models(json.loads(written)))
    return written


def _without_models(value: Any) -> Any:
    if type(value) is dict:
        return {name: inner for name, inner in value.items() if name != "model"}
    return [_without_models(inner) for inner in value] if type(value) is list else value


def written_members(text: str) -> Iterator[tuple[str, str]]:
    """The members of an object as they stand in its text. Written apart from the gateway's own spans, to be compared with them."""
    decoder, at = json.JSONDecoder(), text.index("{") + 1
    while True:
        at += len(text[at:]) - len(text[at:].lstrip(" \t\r\n,"))
        if text[at] == "}":
            return
        name, at = decoder.raw_decode(text, at)
        at = text.index(":", at) + 1
        at += len(text[at:]) - len(text[at:].lstrip(" \t\r\n"))
        _, end = decoder.raw_decode(text, at)
        yield name, text[at:end]
        at = end


def _texts(example: Example, body: bytes) -> list[bytes]:
    """The parts of a form, but for those that a rewrite may set."""
    boundary = b"--" + example.content_type.partition(b"boundary=")[2].strip(b'" ;')
    parts = body.split(boundary)
    return [part for part in parts if not any(b'name="%b"' % name in part for name in (b"model", b"response_format"))]


def check_counted(one: Spoken, example: Example, ask: Ask) -> None:
    """What may be counted is counted, or what is asked of the provider is JSON."""
    counting = how(ask)
    if counting is None or len(example.body) > 2**16:
        return
    here = counting.here(ask, example.body, ask.model)
    assert here is None or 0 <= here <= BOUND_MAX
    question = counting.there(ask, example.body, ask.model)
    if question is not None:
        json.loads(question.body)


# --- what is said to callers ----------------------------------------------------------------------------------------------------------


def check_refusal(one: Spoken, refusal: Refusal, ask: Ask | None = None) -> None:
    """Every refusal can be said in the dialect's words, whole and as the end of a stream."""
    assert 400 <= refusal.status <= 599
    body = one.dialect.refusal(refusal, _REQUEST_ID)
    json.loads(body)
    assert len(body) <= REFUSAL_BYTES_MAX, "it gives back what it was given"
    frame = one.dialect.error_frame(refusal, _REQUEST_ID, ask)
    assert frame or one.route.dialect == "elevenlabs"


def check_fault(one: Spoken, status: int, body: bytes) -> None:
    """An error of any kind is somebody's."""
    assert one.dialect.fault(status, body) in _FAULTS


# --- answers --------------------------------------------------------------------------------------------------------------------------


def check_answer(one: Spoken, ask: Ask, headers: dict[bytes, bytes], body: bytes) -> Report:
    """A whole answer is read to something that can be charged from, whatever it is."""
    report = one.dialect.read_answer(ask, body, headers)
    check_report(report, len(body))
    return report


def check_report(report: Report, size: int) -> None:
    """No number below zero or beyond all sense, and no text that a database would not take."""
    assert 0 <= report.delivered_bytes <= 16 * size
    for usage in (report.usage, report.input_seen):
        if usage is not None:
            check_usage(usage)
    for text in (report.model_served, report.response_id, report.poll_target, *report.flags, *(made.id for made in report.made)):
        text.encode()
        assert "\0" not in text
    assert report.poll_target == "" or (report.poll_target.startswith("/") and report.poll_target.isprintable())
    assert len(report.flags) <= 20
    assert report.shown is None or len(report.shown) <= 16 * size + 1024


def check_usage(usage: Usage) -> None:
    """Units that are known, none of them below zero."""
    assert usage.units.keys() <= ALL_UNITS
    for quantity in (usage.prompt_total, *usage.units.values(), usage.reported_cost_pico or 0):
        assert type(quantity) is int
        assert quantity >= 0
    for quantity in usage.units.values():
        assert quantity <= UNITS_MAX
    for text in (usage.model_served, usage.conditions.service_tier, usage.conditions.speed, usage.conditions.geo):
        text.encode()
        assert "\0" not in text
    for other in usage.others:
        check_usage(other)


# --- streams --------------------------------------------------------------------------------------------------------------------------


def pieces_of(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    """The data, cut at these places."""
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(places)]


class Relayed(msgspec.Struct):
    """What became of a stream."""

    shown: bytes
    held_back: bytes
    report: Report


def relay(one: Spoken, example: Example, headers: dict[bytes, bytes], pieces: Sequence[bytes]) -> Relayed:
    """What a client gets of a stream that comes in these pieces, and what is reported. Its memory is looked at on the way."""
    ask = one.ask(example)
    meter = one.dialect.stream(ask, headers)
    shown = [meter.feed(piece) for piece in pieces]
    meter.report()
    shown.append(meter.close())
    check_kept(meter)
    check_refusal(one, Internal(incident="x", charged=""), ask)
    return Relayed(b"".join(shown), meter.held_back, meter.report())


def check_stream(one: Spoken, example: Example, headers: dict[bytes, bytes], pieces: Sequence[bytes]) -> None:
    """What a client gets and what is charged do not depend on how a stream was cut."""
    data = b"".join(pieces)
    whole, cut = relay(one, example, headers, [data]), relay(one, example, headers, pieces)
    assert (cut.shown, cut.held_back) == (whole.shown, whole.held_back)
    assert cut.report == whole.report
    check_report(whole.report, len(data))


def check_kept(meter: StreamMeter) -> None:
    """A meter keeps no more than it may."""
    kept = kept_bytes(meter)
    assert kept <= 4 * max(limits.stream_event_bytes_max, limits.answer_body_bytes_max) + 2**16, kept


def kept_bytes(meter: StreamMeter) -> int:
    """All bytes and texts that a meter holds on to, of its own."""
    seen: set[int] = set()
    waiting: list[Any] = [meter]
    kept = 0
    while waiting:
        value = waiting.pop()
        if id(value) in seen or isinstance(value, type | types.ModuleType | types.FunctionType | types.BuiltinFunctionType | Ask):
            continue
        seen.add(id(value))
        if isinstance(value, bytes | bytearray | str):
            kept += len(value)
        else:
            waiting += gc.get_referents(value)
    return kept
