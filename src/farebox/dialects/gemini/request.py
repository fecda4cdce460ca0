"""Reading and bounding a request to generate, or to count (providers.md §3.1, §5.4, §6).

Owns which fields move cost. The model stands in the path; where the body names it too it must be the same. Does not own prices.
"""

import msgspec

from farebox import limits
from farebox.dialects import bounds, fields
from farebox.dialects.base import Ask, Route
from farebox.dialects.extras import Bounds
from farebox.dialects.gemini import spelling
from farebox.dialects.gemini.content import Contents
from farebox.dialects.gemini.spelling import Extras
from farebox.dialects.gemini.tools import Tools
from farebox.dialects.strict import Members, read_object
from farebox.errors import AmbiguousBody, InvalidRequest
from farebox.usage import (
    IN_AUDIO,
    IN_CACHE_READ,
    IN_IMAGE,
    IN_TEXT,
    IN_VIDEO,
    OUT_AUDIO,
    OUT_IMAGE,
    OUT_TEXT,
    OUT_VIDEO,
    Conditions,
    Demand,
)

TOKENS_PER_REQUEST = 512
IMAGE_TOKENS_MIN = 2_048
"""Below this cap no picture is made."""
CACHED = "it is kept by the provider for whoever stored it."
_STATE = "it refers to state that is kept by the provider and is not in the request."
_ROUTED = "it lets the provider choose another model."
_CAPS = {name: why for name, why in fields.OTHER_CAPS.items() if name != "generation_config"}
_BODY = spelling.shape(
    ("contents", "tools", "systemInstruction", "generationConfig", "serviceTier", "model"),
    ("safetySettings", "toolConfig", "labels", "store"),
    {"cachedContent": CACHED, "continuationToken": _STATE, "maxOutputTokens": "it belongs into generationConfig.", **_CAPS},
)
_CONFIG = spelling.shape(
    ("maxOutputTokens", "candidateCount", "thinkingConfig", "responseModalities", "responseFormat", "mediaResolution"),
    (
        *("temperature", "topP", "topK", "seed", "stopSequences", "presencePenalty", "frequencyPenalty", "responseLogprobs", "logprobs"),
        *("responseMimeType", "responseSchema", "responseJsonSchema", "_responseJsonSchema", "speechConfig", "imageConfig"),
        *("enableEnhancedCivicAnswers", "audioTimestamp", "enableAffectiveDialog", "translationConfig", "audioTranscriptionConfig"),
    ),
    {"routingConfig": _ROUTED, "modelSelectionConfig": _ROUTED},
)
_THINKING = spelling.shape(("thinkingBudget",), ("includeThoughts", "thinkingLevel"))
_COUNT = spelling.shape(
    ("contents", "generateContentRequest", "model"), ("tools", "systemInstruction", "generationConfig"), {"cachedContent": CACHED}
)
_COUNTED = spelling.shape(
    ("contents", "model", "systemInstruction"),
    ("tools", "toolConfig", "safetySettings", "generationConfig", "serviceTier", "labels", "store"),
    {"cachedContent": CACHED},
)
_TIERS = {"flex": ("flex", "default"), "priority": ("priority", "default"), "standard": ("default",), "unspecified": ("default",)}
_SHOWS_ALL_OUTPUT = ("gemini-1", "gemini-2.0", "gemini-pro", "gemini-flash-1", "gemma-2", "gemma-3")
_THINKS_ONLY_IF_ASKED = "gemini-2.5-flash"
_MODALITIES = {"AUDIO": OUT_AUDIO, "VIDEO": OUT_VIDEO, "IMAGE": OUT_IMAGE, "TEXT": OUT_TEXT, "MODALITY_UNSPECIFIED": OUT_TEXT}
_DEARER_THAN_TEXT = frozenset((IN_AUDIO, IN_VIDEO))
_NOTHING = Bounds("gemini")
_BY_NAME = {"-tts": OUT_AUDIO, "-live": OUT_AUDIO, "-omni": OUT_VIDEO}


class Config(msgspec.Struct):
    """What of the settings of a generation moves its cost."""

    cap: int | None
    cap_min: int
    choices: int
    budget: int | None
    units: tuple[str, ...]
    media: bool
    """It may answer with something else than text."""
    detail: str
    unknown: tuple[str, ...]


def hides_output(model: str) -> bool:
    """Every model may think unseen, except the ones that could not yet."""
    return not model.rpartition("/")[2].startswith(_SHOWS_ALL_OUTPUT)


def model_of(route: Route, members: Members, where: str = "") -> str:
    """The model in the path; in a quote, where there is no path, that of the body."""
    named = fields.word(members, "model", where)
    name = route.argument
    if named is not None and name and named not in (name, f"models/{name}"):
        raise AmbiguousBody(problem=f"`{where}model` is another one than that of the path.", field=where + "model")
    name = name or (named or "").removeprefix("models/")
    if not name or len(name) > limits.model_name_chars_max or not name.isprintable():
        raise InvalidRequest(problem="The model is required, in the path.", field="model")
    return name


def read(route: Route, body: bytes, admits: Bounds = _NOTHING) -> Ask:
    """Reads and bounds a request to generate."""
    written = read_object(body)
    extras = Extras(admits)
    members, unknown = spelling.read(written, _BODY, "", extras)
    model = model_of(route, members)
    config = _config(members, model)
    contents = Contents(model, extras, detail=config.detail)
    contents.read(members.get("contents"), "contents")
    if not contents.messages:
        raise fields.invalid("contents", "must not be empty")
    contents.read(members.get("systemInstruction"), "systemInstruction")
    tools = Tools()
    tools.read(members.get("tools"), "tools", extras)
    ask = Ask(
        dialect="gemini",
        route=route.name,
        model=model,
        stream=route.name == "stream_generate_content",
        demand=Demand(
            input_tokens_max=tokens_max(body, written, contents, tools),
            input_units=(IN_TEXT, IN_CACHE_READ, *sorted(contents.units | ({IN_IMAGE} if tools.reads_pages else set()))),
            output_tokens_named=config.cap,
            output_tokens_min=config.cap_min,
            output_units=config.units,
            choices=config.choices,
            fees_max=tools.fees(model),
            conditions=_conditions(members),
            prompts=2 if tools.reads_pages else 1,
        ),
        hidden_output=_hidden(model, config, contents, tools),
        unknown_fields=(*unknown, *config.unknown),
        messages=contents.messages,
        tools=tools.functions,
        names=frozenset(written),
    )
    return extras.onto(ask)


def read_count(route: Route, body: bytes) -> Ask:
    """Reads a request to count: free, but not about what others keep at the provider."""
    written = read_object(body)
    members, unknown = spelling.read(written, _COUNT)
    model = model_of(route, members)
    contents = Contents(model, Extras(_NOTHING), free=True)
    contents.read(members.get("contents"), "contents")
    inner = fields.inner(members, "generateContentRequest")
    if inner is not None:
        inner, _ = spelling.read(inner, _COUNTED, "generateContentRequest.")
        model_of(msgspec.structs.replace(route, argument=model), inner, "generateContentRequest.")
        contents.read(inner.get("contents"), "generateContentRequest.contents")
        contents.read(inner.get("systemInstruction"), "generateContentRequest.systemInstruction")
    demand = Demand(input_tokens_max=0, output_units=())
    return Ask("gemini", route.name, model, stream=False, demand=demand, unknown_fields=unknown, names=frozenset(written))


def tokens_max(body: bytes, written: Members, contents: Contents, tools: Tools) -> int:
    """The most input tokens: every byte that is no medium, each medium by its kind, and what tools may bring."""
    text = bounds.input_tokens_max(body, written, messages=contents.messages, tools=tools.functions, per_request=TOKENS_PER_REQUEST)
    return text - contents.media_chars + contents.media_tokens + tools.input_tokens_max()


def _config(members: Members, model: str) -> Config:
    where = "generationConfig."
    said, unknown = spelling.read(fields.inner(members, "generationConfig") or {}, _CONFIG, where)
    thinking, _ = spelling.read(fields.inner(said, "thinkingConfig", where) or {}, _THINKING, where + "thinkingConfig.")
    budget = fields.integer(thinking, "thinkingBudget", least=-1, where=where + "thinkingConfig.")
    media = _media(said, model)
    least = max(1 if budget is None or budget < 1 else budget + 1, IMAGE_TOKENS_MIN if "-image" in model else 1)
    cap = fields.integer(said, "maxOutputTokens", least=1, where=where)
    return Config(
        cap=cap,
        cap_min=least if cap is None else min(cap, least),
        choices=fields.integer(said, "candidateCount", least=1, most=limits.choices_max, where=where) or 1,
        budget=budget,
        units=tuple(sorted({OUT_TEXT, OUT_IMAGE, *media})),
        media=bool(media) or "image" in model,
        detail=fields.word(said, "mediaResolution", where) or "",
        unknown=tuple(where + name for name in unknown),
    )


def _media(said: Members, model: str) -> set[str]:
    """What else than text the answer may be, as asked for or as the model's name says. Pictures are held for in any case: models that make
    them make them unasked, and for the others theirs is the price of text.
    """
    units = {unit for mark, unit in _BY_NAME.items() if mark in model}
    asked = said.get("responseModalities")
    for name in [asked] if type(asked) is str else asked or ():
        if type(name) is not str or name.upper() not in _MODALITIES:
            fields.refuse_cost("generationConfig.responseModalities", f"{str(name)[:64]!r} has no price here.")
        units.add(_MODALITIES[name.upper()])
    for wanted in spelling.objects(said.get("responseFormat"), "generationConfig.responseFormat"):
        units.update(unit for name, unit in _MODALITIES.items() if name.lower() in wanted)
    return units - {OUT_TEXT}


def _hidden(model: str, config: Config, contents: Contents, tools: Tools) -> bool:
    """Whether delivered text would be no measure of an answer that breaks off: of thoughts, of media, of what tools put into the prompt."""
    if tools.of_the_provider or config.media or not contents.units.isdisjoint(_DEARER_THAN_TEXT):
        return True
    never = config.budget == 0 and model.rpartition("/")[2].startswith(_THINKS_ONLY_IF_ASKED)
    return hides_output(model) and not never


def _conditions(members: Members) -> tuple[Conditions, ...]:
    """The tier asked for first; the provider may serve at the plain one instead."""
    tier = (fields.word(members, "serviceTier") or "standard").lower().removeprefix("service_tier_")
    tiers = _TIERS.get(tier)
    if tiers is None:
        fields.refuse_cost("serviceTier", f"the tier {tier[:64]!r} has no price here.")
    return tuple(Conditions(service_tier=name) for name in tiers)
