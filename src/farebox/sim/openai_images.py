"""OpenAI's `/v1/images/generations` and `/v1/images/edits`: their requests, answers and streams. Pure. Every picture is one grey pixel.

**The token rule.** Input: a quarter of the prompt's bytes, rounded up, and for each picture what `openai_media.py` says. Output: for each picture what
OpenAI lists for its quality and size (the next larger one listed where it lists none), or as many as `sim:output` asks; and 100 for each partial picture.
"""

from collections.abc import Iterator, Sequence

import msgspec

from .dialect import Frame
from .generation import BYTES_PER_TOKEN, Ask, Generation, Part
from .multipart import File, form_of
from .openai_dialect import OpenAIDialect, check_parts, missing, named, one_of, within
from .openai_embeddings import quiet
from .openai_media import picture_tokens
from .openai_response import PICTURE
from .openai_tools import PARTIAL_IMAGE_TOKENS
from .reading import decode, heed
from .refusals import RefusedError, invalid
from .spoil import spoil_usage
from .wire import Request
from .words import Words

IMAGES_MAX = 10
PARTIALS_MAX = 3
PROMPT_CHARACTERS_MAX = 32_000
SVG_INPUT_TOKENS = 40
_QUALITIES = ("low", "medium", "high", "xhigh", "max", "auto")
_TOKENS = {
    "low": {"1024x1024": 272, "1024x1536": 408, "1536x1024": 400},
    "medium": {"1024x1024": 1056, "1024x1536": 1584, "1536x1024": 1568},
    "high": {"1024x1024": 4160, "1024x1536": 6240, "1536x1024": 6208},
}
_OLD_SIZES = {
    ("dall-e-2", "standard"): ("1024x1024", "256x256", "512x512"),
    ("dall-e-3", "standard"): ("1024x1024", "1024x1792", "1792x1024"),
    ("dall-e-3", "hd"): ("1024x1024", "1024x1792", "1792x1024"),
}
_encode = msgspec.json.encode


class _Svg(msgspec.Struct):
    model: str | None = None


class _Body(msgspec.Struct):
    model: str | None = None
    prompt: str | None = None
    n: int | None = None
    size: str | None = None
    quality: str | None = None
    stream: bool | None = None
    partial_images: int | None = None
    output_format: str | None = None
    background: str | None = None
    response_format: str | None = None
    svg: _Svg | None = None


class _Drawn(msgspec.Struct, frozen=True):
    """What the answer is made of."""

    count: int
    size: str
    quality: str
    output_format: str
    partials: int = 0
    svg_model: str = ""
    as_url: bool = False
    priced: bool = False
    """By the picture: no usage is reported."""


_body = msgspec.json.Decoder(_Body)


class OpenAIImages(OpenAIDialect):
    """The dialect on one of its two routes; it has no state."""

    def __init__(self, *, edits: bool = False) -> None:
        self._edits = edits
        self._event = "image_edit" if edits else "image_generation"

    def read(self, request: Request) -> Ask:
        """The request. What the provider would refuse is refused."""
        asked, pictures = _form(request) if self._edits else (decode(_body, request.body), [])
        model = named(asked.model)
        if not asked.prompt:
            raise missing("prompt")
        if len(asked.prompt) > PROMPT_CHARACTERS_MAX:
            raise invalid(f"Invalid 'prompt': string too long. Expected at most {PROMPT_CHARACTERS_MAX} characters.", param="prompt")
        if self._edits and not pictures:
            raise missing("image")
        words = quiet(heed(asked.prompt))
        count = within("n", asked.n, 1, 1 if model == "dall-e-3" else IMAGES_MAX, 1)
        if model.startswith("dall-e"):
            return _ask_by_the_picture(asked, model, words, count)
        ask = _ask_by_the_token(asked, model, words, count, pictures)
        check_parts(self, ask.parts)
        return ask

    def answer(self, generation: Generation) -> bytes:
        """The pictures, and usage where they are billed by tokens."""
        drawn = _drawn(generation)
        picture = {"url": "https://example.com/picture.png"} if drawn.as_url else {"b64_json": PICTURE}
        body: dict[str, object] = {"created": generation.created_s, "data": [picture] * drawn.count}
        if not drawn.priced:
            body |= {"size": drawn.size, "quality": drawn.quality, "output_format": drawn.output_format, "background": "opaque"}
            usage = _usage(generation)
            body |= {"usage": msgspec.Raw(usage)} if usage else {}
        for part in generation.ask.parts:
            body["svg_usage"] = _svg_usage(part)
        return _encode(body)

    def frames(self, generation: Generation) -> Iterator[Frame]:
        """Partial pictures, then the whole ones; each whole one reports the usage of the whole request."""
        drawn = _drawn(generation)
        looks = {"size": drawn.size, "quality": drawn.quality, "output_format": drawn.output_format, "background": "opaque"}
        common: dict[str, object] = {"b64_json": PICTURE, "created_at": generation.created_s, **looks}
        usage = _usage(generation)
        left = generation.output_total
        for index in range(drawn.partials):
            left -= PARTIAL_IMAGE_TOKENS * drawn.count
            tokens = PARTIAL_IMAGE_TOKENS * drawn.count
            yield _frame({"type": f"{self._event}.partial_image", "partial_image_index": index, **common}), tokens
        for index in range(drawn.count):
            event = {"type": f"{self._event}.completed", **common, **({"usage": msgspec.Raw(usage)} if usage else {})}
            yield _frame(event), left // drawn.count + (left % drawn.count if index == 0 else 0)

    def error_frame(self, refused: RefusedError, call_id: bytes) -> bytes:
        """The event `error`."""
        return b"event: error\n" + super().error_frame(refused, call_id)


def _form(request: Request) -> tuple[_Body, Sequence[File]]:
    form = form_of(request)
    fields: dict[str, object] = {**form.fields}
    if "svg[model]" in form.fields:
        fields["svg"] = {"model": form.fields["svg[model]"]}
    try:
        asked = msgspec.convert(fields, _Body, strict=False)
    except msgspec.ValidationError as problem:
        raise invalid(f"Could not parse multipart form: {problem}") from None
    return asked, [file for file in form.files if file.field.startswith("image")]


def _ask_by_the_picture(asked: _Body, model: str, words: Words, count: int) -> Ask:
    """DALL-E: a price for each picture, by its quality and size."""
    quality = one_of("quality", asked.quality, ("standard", "hd") if model == "dall-e-3" else ("standard",), "standard")
    sizes = _OLD_SIZES.get((model, quality), ("1024x1024",))
    size = one_of("size", asked.size, sizes, "1024x1024")
    as_url = one_of("response_format", asked.response_format, ("url", "b64_json"), "url") == "url"
    drawn = _Drawn(count, size, quality, "png", as_url=as_url, priced=True)
    return Ask(model=model, prompt=0, words=words, output=0, fees={f"image:{model}:{quality}:{size}": count}, detail=drawn)


def _ask_by_the_token(asked: _Body, model: str, words: Words, count: int, pictures: Sequence[File]) -> Ask:
    if asked.response_format is not None:
        raise invalid("Unknown parameter: 'response_format'.", param="response_format", code="unknown_parameter")
    partials = within("partial_images", asked.partial_images, 0, PARTIALS_MAX, 0)
    if partials and not asked.stream:
        raise invalid("'partial_images' is only supported with 'stream'.", param="partial_images")
    quality = one_of("quality", asked.quality, _QUALITIES, "auto")
    drawn = _Drawn(
        count,
        "1024x1024" if asked.size in {None, "auto"} else asked.size or "",
        "medium" if quality == "auto" else quality,
        one_of("output_format", asked.output_format, ("png", "webp", "jpeg", "gif", "svg"), "png"),
        partials,
        _svg_model(asked, count),
    )
    each = words.output if words.output is not None else _tokens(drawn)
    shown = sum(picture_tokens(file.data[:32]) if words.image_in is None else words.image_in for file in pictures)
    said = -(-len((asked.prompt or "").encode("utf-8", "surrogatepass")) // BYTES_PER_TOKEN)
    output = (each + PARTIAL_IMAGE_TOKENS * partials) * count
    return Ask(
        model=model,
        prompt=said + shown,
        streamed=bool(asked.stream),
        words=words,
        output=output,
        units={"input_image_tokens": shown, "output_image_tokens": output} if shown else {"output_image_tokens": output},
        parts=_svg_parts(drawn, words),
        detail=drawn,
    )


def _svg_model(asked: _Body, count: int) -> str:
    """The model that writes the drawing, where one is asked for."""
    if asked.svg is None:
        return ""
    if asked.output_format != "svg" or not asked.svg.model:
        raise invalid("'svg' requires output_format 'svg' and 'svg.model'.", param="svg")
    if asked.stream or count > 1:
        raise invalid("SVG output requires 'n' to be 1 and does not support streaming.", param="output_format")
    return asked.svg.model


def _svg_parts(drawn: _Drawn, words: Words) -> tuple[Part, ...]:
    return (Part(drawn.svg_model, {"input_tokens": SVG_INPUT_TOKENS, "output_tokens": words.svg}),) if drawn.svg_model else ()


def _svg_usage(part: Part) -> dict[str, object]:
    given, written = part.units["input_tokens"], part.units["output_tokens"]
    return {"model": part.model, "input_tokens": given, "output_tokens": written, "reasoning_tokens": 0, "total_tokens": given + written}


def _tokens(drawn: _Drawn) -> int:
    """What OpenAI lists for a picture."""
    listed = _TOKENS.get(drawn.quality, _TOKENS["high"])
    return listed.get(drawn.size) or max(listed.values())


def _drawn(generation: Generation) -> _Drawn:
    detail = generation.ask.detail
    return detail if isinstance(detail, _Drawn) else _Drawn(1, "1024x1024", "medium", "png")


def _usage(generation: Generation) -> bytes:
    """What is reported; empty when nothing is."""
    prompt, output = generation.ask.prompt, generation.output_total
    shown = generation.units.get("input_image_tokens", 0)
    usage = {
        "input_tokens": prompt,
        "input_tokens_details": {"text_tokens": prompt - shown, "image_tokens": shown},
        "output_tokens": output,
        "output_tokens_details": {"text_tokens": 0, "image_tokens": output},
        "total_tokens": prompt + output,
    }
    return spoil_usage(_encode(usage), generation.ask.words.usage, "input_tokens")


def _frame(event: dict[str, object]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (str(event["type"]).encode(), _encode(event))
