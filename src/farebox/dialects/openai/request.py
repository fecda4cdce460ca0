"""Reading and bounding a chat completions request (providers.md §1.1, §5.4, §5.5, §6).

Owns which fields move cost and which are refused because their cost has no bound. Does not own prices.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from farebox import limits
from farebox.dialects import bounds, fields
from farebox.dialects.base import Ask
from farebox.dialects.extras import Bounds, ByFee, BySetting, Extras
from farebox.dialects.media.asked import Media
from farebox.dialects.openai import parts
from farebox.dialects.openai.hosts import OPENAI, Host
from farebox.dialects.strict import Members, read_object
from farebox.usage import (
    IN_CACHE_WRITE_1H,
    IN_CACHE_WRITE_5M,
    IN_CACHE_WRITE_12H,
    IN_CACHE_WRITE_30M,
    OUT_AUDIO,
    PLAIN,
    Conditions,
    Demand,
)

CAPS = ("max_completion_tokens", "max_tokens")
_READ = (
    *("model", "messages", "n", *CAPS, "stream", "stream_options", "service_tier"),
    *("tools", "functions", "prediction", "modalities", "audio", "prompt_cache_options"),
)
_HARMLESS = (
    *("frequency_penalty", "presence_penalty", "function_call", "logit_bias", "logprobs", "top_logprobs", "metadata"),
    *("moderation", "parallel_tool_calls", "prompt_cache_key", "prompt_cache_retention", "reasoning_effort", "response_format"),
    *("safety_identifier", "seed", "stop", "store", "temperature", "tool_choice", "top_p", "user", "verbosity"),
)
_STATE = "it adds input that is kept by the provider and is not in the request."
_SEARCH = ByFee("each search has a fee of its own, and the usage does not report how many there were.")
_SPOKEN = BySetting("spoken output is not bounded.")
BODY = fields.names(
    _READ,
    _HARMLESS,
    {
        **fields.OTHER_CAPS,
        "web_search_options": _SEARCH,
        "search_parameters": _SEARCH,
        "plugins": ByFee("what a plugin costs is not known before the call."),
        "models": "the request may be served by other models than the one it is priced for.",
        "best_of": "it multiplies the output.",
        "use_beam_search": "it multiplies the output.",
        "background": "the answer comes later, outside this call.",
        "previous_response_id": _STATE,
        "conversation": _STATE,
    },
)
_SEARCHING_BODY = fields.names(
    (*_READ, "web_search_options"), _HARMLESS, {name: why for name, why in BODY.costly.items() if name != "web_search_options"}
)
_SEARCH_OPTIONS = fields.names(
    ("search_context_size",), ("user_location",), {"search_type": "what other kinds of search cost is not known before the call."}
)
_STREAM_OPTIONS = fields.names(("include_usage", "include_obfuscation"))
_MESSAGE = fields.names(
    ("content",),
    ("role", "name", "tool_calls", "tool_call_id", "function_call", "refusal", "reasoning_content", "reasoning"),
    {"audio": _STATE},
)
_OTHER_PART = "it belongs to another type of part, and a lenient host might read it."
_PART_READ = ("type", "text", "refusal", "prompt_cache_breakpoint", "cache_control")
_MEDIA_PARTS = ("image_url", "input_audio", "file", "video_url")
_PART = fields.names(_PART_READ, costly=dict.fromkeys(_MEDIA_PARTS, _OTHER_PART))
_TEXT_PARTS = frozenset(("text", "refusal"))
_READ_MEDIA = {"image_url": parts.image_url, "input_audio": parts.input_audio}
_MEDIA_PART = {
    kind: fields.names((*_PART_READ, kind), costly={name: _OTHER_PART for name in _MEDIA_PARTS if name != kind})
    for kind in (*_READ_MEDIA, "file")
}
_KNOWN_PARTS = _TEXT_PARTS | _MEDIA_PART.keys()
_TOOL = fields.names(("type",), ("function", "custom"))
_CACHE_OPTIONS = fields.names(("ttl",), ("mode", "prewarm", "type"), {"comparison_response_id": _STATE})
_TOOL_TYPES = frozenset(("function", "custom"))
_WRITE_UNITS = {"5m": IN_CACHE_WRITE_5M, "30m": IN_CACHE_WRITE_30M, "1h": IN_CACHE_WRITE_1H, "12h": IN_CACHE_WRITE_12H}
_PLAIN_UNITS = Media(rules="").units({IN_CACHE_WRITE_30M})
"""What text alone may be billed as: caching is the provider's to decide."""
_NOTHING = Bounds("openai")
_SHOWS_ALL_OUTPUT = ("gpt-4", "gpt-3.5", "chatgpt-4o")
_SPEAKS = ("-tts", "-transcribe")
"""Their output is not the text that an answer shows."""

TIERS = {
    "default": ("default",),
    "flex": ("flex", "default"),
    "priority": ("priority", "default"),
    "fast": ("priority", "default"),
}
"""What a request for a tier may be served and billed as: the answer's tier "may be different from the value set"."""


@lru_cache(maxsize=1024)
def hides_output(model: str) -> bool:
    """Every model may reason unseen, except those that are known not to."""
    name = model.rpartition("/")[2]
    return name.endswith(_SPEAKS) or "-tts-" in name or not name.startswith(_SHOWS_ALL_OUTPUT)


def read(body: bytes, *, cap_field: str, tiers_of_auto: tuple[str, ...], host: Host = OPENAI, admits: Bounds = _NOTHING) -> Ask:
    """Reads and bounds one request."""
    members = read_object(body)
    extras = Extras(admits)
    unknown = fields.examine(members, _searching(members) if host.searches else BODY, extras=extras)
    model = fields.text(members, "model", length_max=limits.model_name_chars_max)
    if "-search-" in model or (host.searches and "deep-research" in model):
        extras.take("model", _SEARCH, name="model.search")
    if _speaks(members):
        extras.take("audio" if "audio" in members else "modalities", _SPOKEN, name="audio", holds=members.get("audio"), units=(OUT_AUDIO,))
    write_units = {IN_CACHE_WRITE_30M}
    media = Media(rules=host.media)
    messages = _messages(members, write_units, media, extras)
    tools = _tools(members, extras) if "tools" in members or "functions" in members else 0
    stream = fields.flag(members, "stream") if "stream" in members else False
    cap_used, cap = _cap(members)
    choices = (fields.integer(members, "n", least=1, most=limits.choices_max) or 1) if "n" in members else 1
    prediction = _prediction_bytes(members) if "prediction" in members else 0
    if "prompt_cache_options" in members:
        cache_unit(members, "prompt_cache_options", "", write_units)
    tokens = bounds.input_tokens_max(body, members, messages=messages, tools=tools, per_request=bounds.TOKENS_PER_REQUEST_OPENAI)
    if media.count:
        tokens += media.tokens_max(model) - media.chars
    ask = Ask(
        dialect="openai",
        route="chat_completions",
        model=model,
        stream=stream,
        demand=Demand(
            input_tokens_max=tokens,
            input_units=media.units(write_units) if media.count or len(write_units) > 1 else _PLAIN_UNITS,
            output_tokens_named=cap,
            choices=choices,
            extra_output_tokens=prediction * choices,
            conditions=conditions(members, tiers_of_auto),
        ),
        hides_usage=(stream or "stream_options" in members) and hides_usage(members, stream=stream) and not host.tells_usage,
        hidden_output=bool(prediction) or hides_output(model),
        unknown_fields=unknown,
        messages=messages,
        tools=tools,
        cap_field=(cap_used if host.both_caps else "") or cap_field,
        names=frozenset(members),
    )
    return extras.onto(ask)


def _searching(members: Members) -> fields.Names:
    """What a host takes whose fee is by how much is searched: held at the dearest, charged by what its answer says."""
    options = fields.inner(members, "web_search_options") or {}
    fields.examine(options, _SEARCH_OPTIONS, "web_search_options.")
    return _SEARCHING_BODY


def _speaks(members: Members) -> bool:
    """Whether the answer may be more than text."""
    if "modalities" in members and members["modalities"] not in (None, [], ["text"]):
        return True
    return "audio" in members and members["audio"] is not None


def _cap(members: Members) -> tuple[str, int | None]:
    used, cap = "", None
    for name in CAPS:
        if name in members and (given := fields.integer(members, name, least=1)) is not None:
            if used:
                raise fields.invalid(name, f"and `{used}` cannot both be set")
            used, cap = name, given
    return used, cap


def hides_usage(members: Members, *, stream: bool) -> bool:
    """Whether usage is asked for on the client's behalf: a stream whose client did not."""
    options = fields.inner(members, "stream_options") or {}
    where = "stream_options."
    fields.examine(options, _STREAM_OPTIONS, where)
    fields.flag(options, "include_obfuscation", where)
    return not fields.flag(options, "include_usage", where) and stream


def _messages(members: Members, write_units: set[str], media: Media, extras: Extras) -> int:
    messages = fields.objects(members.get("messages"), "messages")
    if not messages:
        raise fields.invalid("messages", "must not be empty")
    for index, message in enumerate(messages):
        if not _MESSAGE.known.issuperset(message):
            fields.examine(message, _MESSAGE, f"messages[{index}].")
        content = message.get("content")
        if type(content) is not str and content is not None:
            _parts(content, f"messages[{index}].content", write_units, media, extras)
    return len(messages)


def _parts(content: Any, where: str, write_units: set[str], media: Media, extras: Extras) -> None:
    for index, part in enumerate(fields.objects(content, where)):
        path = f"{where}[{index}]."
        kind = fields.word(part, "type", path) or ""
        if kind in _KNOWN_PARTS or not kind:
            fields.examine(part, _MEDIA_PART.get(kind, _PART), path)
        if kind not in _KNOWN_PARTS:
            why = BySetting(f"of parts of type {kind[:64]!r} the tokens are not counted before the call.")
            extras.take(path + "type", why, name=path + kind, holds=part)
        if (read := _READ_MEDIA.get(kind)) is not None:
            read(part, media, path)
        elif kind == "file":
            parts.chat_file(part, media, path, extras)
        cache_unit(part, "prompt_cache_breakpoint", path, write_units)
        cache_unit(part, "cache_control", path, write_units)


def cache_unit(members: Members, name: str, where: str, write_units: set[str], allowed: fields.Names = _CACHE_OPTIONS) -> None:
    options = fields.inner(members, name, where)
    if options is None:
        return
    path = f"{where}{name}."
    fields.examine(options, allowed, path)
    ttl = fields.word(options, "ttl", path) or ("5m" if name == "cache_control" else "30m")
    if ttl not in _WRITE_UNITS:
        fields.refuse_cost(path + "ttl", f"what a cache entry of {ttl[:64]!r} costs is not known.")
    write_units.add(_WRITE_UNITS[ttl])


def _tools(members: Members, extras: Extras) -> int:
    tools = fields.objects(members.get("tools") or [], "tools")
    for index, tool in enumerate(tools):
        path = f"tools[{index}]."
        fields.examine(tool, _TOOL, path)
        if (kind := fields.word(tool, "type", path) or "") not in _TOOL_TYPES:
            why = BySetting(f"what a tool of type {kind[:64]!r} costs is not bounded.")
            extras.take(path + "type", why, name=path + kind, holds=tool)
    return len(tools) + len(fields.objects(members.get("functions") or [], "functions"))


def _prediction_bytes(members: Members) -> int:
    """Rejected predictions are billed as output and no cap bounds them: each byte may be one token."""
    prediction = fields.inner(members, "prediction")
    if prediction is None:
        return 0
    return len(json.dumps(prediction, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def conditions(
    members: Members, tiers_of_auto: tuple[str, ...], more: Mapping[str, tuple[str, ...]] = MappingProxyType({})
) -> tuple[Conditions, ...]:
    """What may be billed under the tier that is asked for; `more` are tiers of the route."""
    if "service_tier" not in members:
        return _under(tiers_of_auto)
    tier = fields.word(members, "service_tier") or "auto"
    served = tiers_of_auto if tier == "auto" else TIERS.get(tier) or more.get(tier)
    if served is None:
        fields.refuse_cost("service_tier", f"the tier {tier[:64]!r} has no price here.")
    return _under(served)


@lru_cache(maxsize=64)
def _under(tiers: tuple[str, ...]) -> tuple[Conditions, ...]:
    """One set of conditions per tier. Shared by all calls, so that what quotes work out for them is found again at once."""
    return tuple(PLAIN if name == PLAIN.service_tier else Conditions(service_tier=name) for name in tiers)
