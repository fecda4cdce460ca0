"""Gemini's generateContent and countTokens: their requests become asks, and numbers of tokens. Pure; writes no answer."""

from collections.abc import Sequence

import msgspec

from .gemini_body import Counts, Told, camel, contents_of, count, decode, media_units, total, words_of
from .generation import PLAIN, Ask, Terms
from .reading import NOTHING
from .refusals import invalid
from .schemas import said_by
from .words import Words

CANDIDATES_MAX = 8
_AUDIO_OUT_DEFAULT = 25
_TIERS = {"flex": Terms(service_tier="flex"), "priority": Terms(service_tier="priority")}


class _Config(msgspec.Struct, rename="camel"):
    max_output_tokens: int | None = None
    candidate_count: int | None = None
    response_modalities: list[str] = []


class _Function(msgspec.Struct):
    name: str = "tool"


class _Tool(msgspec.Struct, rename="camel"):
    function_declarations: list[_Function] = []


class _Body(msgspec.Struct, rename="camel"):
    contents: list[msgspec.Raw] | None = None
    tools: list[msgspec.Raw] | None = None
    system_instruction: msgspec.Raw = NOTHING
    generation_config: _Config | None = None
    service_tier: str | None = None
    generate_content_request: "_Body | None" = None


_body = msgspec.json.Decoder(_Body, strict=False)  # numbers may be written as strings, as in all JSON of protocol buffers
_tool = msgspec.json.Decoder(_Tool, strict=False)
_members = msgspec.json.Decoder(dict[str, msgspec.Raw] | None)


def read_generate(body: bytes, model: str, *, streamed: bool, content_type: bytes = b"") -> Ask:
    """A request of generateContent or streamGenerateContent. What the provider would refuse is refused."""
    asked = decode(_body, camel(body))
    if not asked.contents:
        raise invalid("* GenerateContentRequest.contents: contents is not specified")
    config = asked.generation_config or _Config()
    contents = contents_of(asked.contents)
    words = words_of(contents)
    modalities = count(asked.contents, contents, words, tools=asked.tools or (), system=asked.system_instruction)
    prompt = total(modalities)
    words = words if words.cached <= prompt else msgspec.structs.replace(words, cached=prompt)
    cap = _cap(config)
    fits = cap is None or bool(words.ignore_cap) or words.reasoning + words.image_out <= cap
    image = words.image_out if fits and not words.block else 0
    speaks = "AUDIO" in config.response_modalities and not words.block
    output = words.output or 0 if speaks else _text_tokens(words, image, cap)
    return Ask(
        model=model,
        prompt=prompt + words.tool_use,
        cap=cap,
        choices=_choices(config),
        streamed=streamed,
        tool=_tool_of(asked.tools or [], words) if words.tool else None,
        terms=_TIERS.get((asked.service_tier or "").lower(), PLAIN),
        words=words,
        output=output,
        said=_said(body) if b"application/json" in body else (),
        audio=(_AUDIO_OUT_DEFAULT if words.audio_out is None else words.audio_out) if speaks else 0,
        rejected=image * _choices(config),
        units=_units(model, modalities, words, image * _choices(config)),
        content_type=content_type,
        detail=Told(prompt, modalities, image, cut=_is_cut(words, image, output)),
    )


def read_count(body: bytes) -> Counts:
    """A request of countTokens: the very numbers, by modality, that the call would be billed."""
    asked = decode(_body, camel(body))
    asked = asked.generate_content_request or asked
    if not asked.contents:
        raise invalid("* CountTokensRequest.contents: contents is not specified")
    contents = contents_of(asked.contents)
    return count(asked.contents, contents, words_of(contents), tools=asked.tools or (), system=asked.system_instruction)


def _said(body: bytes) -> tuple[str, ...]:
    """The answer, where JSON is asked for. Read as it is written: the names of an answer's members are the caller's own, in whatever case."""
    members = decode(_members, body) or {}
    config = decode(_members, members.get("generationConfig", members.get("generation_config", b"{}"))) or {}
    if b'"application/json"' not in {bytes(config.get(name, NOTHING)) for name in ("responseMimeType", "response_mime_type")}:
        return ()
    names = ("responseJsonSchema", "response_json_schema", "responseSchema", "response_schema")
    return said_by(next((config[name] for name in names if bytes(config.get(name, b"null")) != b"null"), NOTHING))


def _cap(config: _Config) -> int | None:
    cap = config.max_output_tokens
    if cap is not None and cap < 1:
        raise invalid("* GenerateContentRequest.generation_config.max_output_tokens: max_output_tokens must be positive.")
    return cap


def _choices(config: _Config) -> int:
    choices = 1 if config.candidate_count is None else config.candidate_count
    if not 1 <= choices <= CANDIDATES_MAX:
        raise invalid(f"The specified candidate count {choices} is out of range. It must be between 1 and {CANDIDATES_MAX}.")
    return choices


def _tool_of(tools: Sequence[msgspec.Raw], words: Words) -> str | None:
    """The function to call: the request's first, or the one that the words name."""
    names = [function.name for each in tools for function in decode(_tool, each).function_declarations]
    if words.tool == "1":
        return names[0] if names else None
    if names and words.tool not in names:
        raise invalid(f"sim:tool={words.tool}: the request has no function of this name")
    return words.tool if names else None


def _text_tokens(words: Words, image: int, cap: int | None) -> int | None:
    """None beside a blocked prompt; beside an image those that were asked for and fit."""
    if words.block:
        return 0
    if not image:
        return None
    wanted = words.output or 0
    return wanted if cap is None or words.ignore_cap else min(wanted, cap - words.reasoning - image)


def _is_cut(words: Words, image: int, output: int | None) -> bool:
    if words.block or not words.image_out:
        return False
    return not image or (output or 0) < (words.output or 0)


def _units(model: str, modalities: Counts, words: Words, image: int) -> dict[str, int]:
    """What genai-prices wants to know besides the sums."""
    units = media_units(modalities, words.cached)
    if image:
        units["output_image_tokens"] = image
    if words.queries and not words.block:
        units["web_searches"] = _searches(model, words.queries)
    return units


def _searches(model: str, queries: int) -> int:
    """Gemini 3 and later are billed for each query, those before for each prompt that was grounded."""
    return 1 if model.startswith(("gemini-1", "gemini-2")) else queries
