"""Making images: bounding and metering what they come to in tokens, or by the image (providers.md §1.4).

Owns how many tokens an image may be, and what its stream ends with. Images in vector or moving formats, and qualities whose number of
tokens is not published, are refused: they have no bound.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from farebox import limits
from farebox.dialects import bounds, counts, fields
from farebox.dialects.base import Ask, Report, Route, StreamMeter
from farebox.dialects.meter import HoldingMeter, decode, flags_of, raw_usage
from farebox.dialects.openai.chat import with_model_and_cap
from farebox.dialects.strict import Members, read_object
from farebox.usage import (
    IMAGES,
    IMAGES_256,
    IMAGES_512,
    IMAGES_HD,
    IMAGES_HD_WIDE,
    IMAGES_WIDE,
    IN_IMAGE,
    IN_TEXT,
    OUT_IMAGE,
    OUT_TEXT,
    Demand,
    Usage,
)

IMAGES_MAX = 10
PARTIALS_MAX = 3
TOKENS_PER_PARTIAL = 100
_SQUARE_PIXELS = 1024 * 1024
_SQUARE_TOKENS = {"low": 272, "medium": 1056, "high": 4160, "auto": 4160}
"""Of 1024x1024 pixels; other sizes take as many more as they have pixels. What `auto` chooses is not told: the dearest."""
_LARGEST_OF_THREE = 1024 * 1536
_LARGEST = 3840 * 2160
_THREE_SIZES = ("gpt-image-1", "chatgpt-image")
"""Models that know three sizes; later ones take any, up to the largest."""
_SIZE = re.compile(r"([1-9][0-9]{1,4})x([1-9][0-9]{1,4})")
_CLASSES = {
    ("standard", "256x256"): IMAGES_256,
    ("standard", "512x512"): IMAGES_512,
    ("standard", "1024x1024"): IMAGES,
    ("standard", "1024x1792"): IMAGES_WIDE,
    ("standard", "1792x1024"): IMAGES_WIDE,
    ("hd", "1024x1024"): IMAGES_HD,
    ("hd", "1024x1792"): IMAGES_HD_WIDE,
    ("hd", "1792x1024"): IMAGES_HD_WIDE,
}
_NOT_TOLD = "how many tokens it takes is not published."
READ = ("model", "prompt", "n", "size", "quality", "partial_images", "stream", "output_format")
HARMLESS = ("background", "moderation", "output_compression", "response_format", "safety_identifier", "style", "user")
COSTLY = {
    "svg": "another model authors the image, and is billed beside this one.",
    "frame_count": _NOT_TOLD,
    "frame_duration_ms": _NOT_TOLD,
    "complexity": _NOT_TOLD,
    "prompt_rewriter": _NOT_TOLD,
}
_BODY = fields.names(READ, HARMLESS, COSTLY)
_FORMATS = ("png", "webp", "jpeg")
_KNOWN = frozenset(("input_tokens", "input_tokens_details", "output_tokens", "output_tokens_details", "total_tokens"))
_KNOWN_DETAILS = frozenset(("text_tokens", "image_tokens"))
_COMPLETED = frozenset(("image_generation.completed", "image_edit.completed"))


class _Said(msgspec.Struct):
    type: Any = None
    data: list[msgspec.Raw] | None = None
    usage: Any = None
    svg_usage: Any = None
    error: Any = None


_SAID = msgspec.json.Decoder(_Said)


class Generations:
    """`POST /images/generations`."""

    def ask(self, route: Route, body: bytes, headers: Mapping[bytes, bytes]) -> Ask:  # noqa: ARG002 - no header moves cost
        """Reads and bounds a request. `facts` is the unit of an image that is billed by the image; empty where tokens are."""
        members = read_object(body)
        unknown = fields.examine(members, _BODY)
        model = fields.text(members, "model", length_max=limits.model_name_chars_max)
        number = fields.integer(members, "n", least=1, most=IMAGES_MAX) or 1
        stream = fields.flag(members, "stream")
        unit = unit_of(model, members)
        if stream and (number > 1 or unit):
            raise fields.invalid("stream", "is for one image, of a model that is billed by the token")
        return Ask(
            dialect="openai",
            route=route.name,
            model=model,
            stream=stream,
            demand=by_image(unit, number) if unit else by_token(body, members, model, number),
            unknown_fields=unknown,
            names=frozenset(members),
            facts=unit,
        )

    def rewrite(self, ask: Ask, body: bytes, *, model: str | None, output_cap: int | None) -> bytes:  # noqa: ARG002 - images have no cap
        """Sets the model."""
        return with_model_and_cap(ask, body, model=model, output_cap=None)

    def read_answer(self, ask: Ask, body: bytes, headers: Mapping[bytes, bytes]) -> Report:  # noqa: ARG002 - nothing in them is metered
        """Reads a whole answer. Images that are billed one by one are counted."""
        return read_images(ask.facts, body)

    def stream(self, ask: Ask, headers: Mapping[bytes, bytes]) -> StreamMeter:  # noqa: ARG002 - nothing in them is metered
        """A meter for one streamed image."""
        return ImageMeter()


class ImageMeter(HoldingMeter):
    """Meters the stream of one image: partial ones as they come, the completed one with the usage."""

    __slots__ = ("_last", "_usage_flags")

    def __init__(self) -> None:
        super().__init__()
        self._last: Usage | None = None
        self._usage_flags: list[str] = []

    def observe(self, event: bytes, data: bytes) -> bytes:
        """Reads one event."""
        said = decode(_SAID, data)
        if said is None:
            return self.opaque(event, data)
        if said.error is not None or said.type == "error":
            self.upstream_error = True
        if type(said.type) is str and said.type in _COMPLETED:
            self._last, self._usage_flags = _usage(said, raw_usage(data))
            self.finished = True
            self.hold()
        return event

    def report(self) -> Report:
        """What is known now: nothing, before the image is complete."""
        return Report(
            usage=self._last,
            finished=self.finished,
            upstream_error=self.upstream_error,
            flags=flags_of(self._last, [*self.flags, *self._usage_flags]),
        )


def read_images(unit: str, body: bytes) -> Report:
    """What a whole answer says; `unit` is that of images that are billed one by one."""
    answer = decode(_SAID, body)
    if answer is None:
        return Report(flags=("unreadable_answer",))
    usage: Usage | None
    flags: list[str]
    if unit:
        usage, flags = Usage(counts.nonzero([(unit, len(answer.data or ()))]), 0), []
    else:
        usage, flags = _usage(answer, raw_usage(body))
    return Report(
        usage=usage if answer.data is not None else None,
        finished=answer.data is not None,
        upstream_error=answer.error is not None,
        flags=flags_of(usage, flags),
    )


def unit_of(model: str, members: Members) -> str:
    """The unit of a model that is billed by the image; none for those billed by the token."""
    if not model.rpartition("/")[2].startswith("dall-e-"):
        return ""
    kind = (fields.word(members, "quality") or "standard", fields.word(members, "size") or "1024x1024")
    if kind not in _CLASSES:
        fields.refuse_cost("size", f"an image of {kind[0][:64]!r} quality in {kind[1][:64]!r} has no price here.")
    return _CLASSES[kind]


def by_image(unit: str, number: int) -> Demand:
    """So many images, each at its price."""
    return Demand(input_tokens_max=0, output_units=(), fees_max={unit: number})


def by_token(body: bytes, members: Members, model: str, number: int) -> Demand:
    """No field caps the output: all of it is demanded from the start."""
    if (form := fields.word(members, "output_format")) not in (None, *_FORMATS):
        fields.refuse_cost("output_format", f"of {form[:64]!r} it is not published how many tokens it takes.")
    quality = fields.word(members, "quality") or "auto"
    if quality not in _SQUARE_TOKENS:
        fields.refuse_cost("quality", f"of {quality[:64]!r} it is not published how many tokens it takes.")
    partials = fields.integer(members, "partial_images", least=0, most=PARTIALS_MAX) or 0
    pixels = _pixels(model, fields.word(members, "size") or "auto")
    each = -(-_SQUARE_TOKENS[quality] * pixels // _SQUARE_PIXELS) + TOKENS_PER_PARTIAL * partials
    return Demand(
        input_tokens_max=bounds.text_tokens_max(body, members) + bounds.TOKENS_PER_REQUEST_OPENAI,
        input_units=(IN_TEXT, IN_IMAGE),
        output_tokens_named=0,
        output_units=(OUT_TEXT, OUT_IMAGE),
        extra_output_tokens=each * number,
    )


def _pixels(model: str, size: str) -> int:
    """Of the size that is asked for; of the largest the model makes where that is its own choice, or is not understood."""
    largest = _LARGEST_OF_THREE if model.rpartition("/")[2].startswith(_THREE_SIZES) else _LARGEST
    found = _SIZE.fullmatch(size)
    return largest if found is None else max(int(found[1]) * int(found[2]), _SQUARE_PIXELS)


def _usage(said: _Said, raw: bytes) -> tuple[Usage | None, list[str]]:
    if said.usage is None:
        return None, []
    if type(said.usage) is not dict:
        return None, [counts.ABSURD]
    try:
        units, prompt, flags = _units(said.usage)
    except counts.UntrustedUsage as untrusted:
        return None, [untrusted.flag]
    if said.svg_usage is not None:
        flags.append(counts.UNKNOWN_FIELD)
    return Usage(units, prompt, raw=raw, flags=tuple(flags)), []


def _units(usage: Mapping[str, Any]) -> tuple[dict[str, int], int, list[str]]:
    """Input is text but for what the details call images; output is images but for what they call text."""
    flags: list[str] = []
    into, out = counts.details(usage, "input_tokens_details"), counts.details(usage, "output_tokens_details")
    if counts.counts_unknown(usage, _KNOWN) or counts.counts_unknown(into, _KNOWN_DETAILS) or counts.counts_unknown(out, _KNOWN_DETAILS):
        flags.append(counts.UNKNOWN_FIELD)
    prompt, output = counts.required(usage, "input_tokens"), counts.required(usage, "output_tokens")
    seen, written = counts.optional(into, "image_tokens"), counts.optional(out, "text_tokens")
    prompt_whole = max(prompt, seen + counts.optional(into, "text_tokens"))
    output_whole = max(output, written + counts.optional(out, "image_tokens"))
    if (prompt_whole, output_whole) != (prompt, output):
        flags.append(counts.INCONSISTENT)
    inputs = [(IN_TEXT, prompt_whole - seen), (IN_IMAGE, seen)]
    return counts.nonzero([*inputs, (OUT_TEXT, written), (OUT_IMAGE, output_whole - written)]), prompt_whole, flags
