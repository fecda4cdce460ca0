"""Reading and bounding a chat completions request (providers.md §1.1, §5.4, §5.5, §6).

Owns which fields move cost and which are refused because their cost has no bound. Does not own prices.
"""

import json
from functools import lru_cache
from typing import Any

from farebox import limits
from farebox.dialects import bounds, fields
from farebox.dialects.base import Ask
from farebox.dialects.strict import Members, read_object
from farebox.usage import (
    IN_CACHE_READ,
    IN_CACHE_WRITE_1H,
    IN_CACHE_WRITE_5M,
    IN_CACHE_WRITE_12H,
    IN_CACHE_WRITE_30M,
    IN_TEXT,
    Conditions,
    Demand,
)

MODEL_CHARS_MAX = 256
_CAPS = ("max_completion_tokens", "max_tokens")
_READ = (
    *("model", "messages", "n", *_CAPS, "stream", "stream_options", "service_tier"),
    *("tools", "functions", "prediction", "modalities", "prompt_cache_options"),
)
_HARMLESS = (
    *("frequency_penalty", "presence_penalty", "function_call", "logit_bias", "logprobs", "top_logprobs", "metadata"),
    *("moderation", "parallel_tool_calls", "prompt_cache_key", "prompt_cache_retention", "reasoning_effort", "response_format"),
    *("safety_identifier", "seed", "stop", "store", "temperature", "tool_choice", "top_p", "user", "verbosity"),
)
_STATE = "it adds input that is kept by the provider and is not in the request."
_MEDIA = "its tokens are not counted before the call yet."
_SEARCH = "each search has a fee of its own, and the usage does not report how many there were."
BODY = fields.names(
    _READ,
    _HARMLESS,
    {
        **fields.OTHER_CAPS,
        "audio": "audio output is not bounded yet.",
        "web_search_options": _SEARCH,
        "search_parameters": _SEARCH,
        "plugins": "what a plugin costs is not known before the call.",
        "models": "the request may be served by other models than the one it is priced for.",
        "best_of": "it multiplies the output.",
        "background": "the answer comes later, outside this call.",
        "previous_response_id": _STATE,
        "conversation": _STATE,
    },
)
_STREAM_OPTIONS = fields.names(("include_usage", "include_obfuscation"))
_MESSAGE = fields.names(
    ("content",),
    ("role", "name", "tool_calls", "tool_call_id", "function_call", "refusal", "reasoning_content", "reasoning"),
    {"audio": _STATE},
)
_PART = fields.names(
    ("type", "text", "refusal", "prompt_cache_breakpoint", "cache_control"),
    costly=dict.fromkeys(("image_url", "input_audio", "file", "video_url"), _MEDIA),
)
_TEXT_PARTS = frozenset(("text", "refusal"))
_TOOL = fields.names(("type",), ("function", "custom"))
_CACHE_OPTIONS = fields.names(("ttl",), ("mode", "prewarm", "type"))
_TOOL_TYPES = frozenset(("function", "custom"))
_WRITE_UNITS = {"5m": IN_CACHE_WRITE_5M, "30m": IN_CACHE_WRITE_30M, "1h": IN_CACHE_WRITE_1H, "12h": IN_CACHE_WRITE_12H}
_SHOWS_ALL_OUTPUT = ("gpt-4", "gpt-3.5", "chatgpt-4o")

TIERS = {
    "default": ("default",),
    "flex": ("flex", "default"),
    "priority": ("priority", "default"),
    "fast": ("priority", "default"),
}
"""What a request for a tier may be served and billed as: the answer's tier "may be different from the value set"."""


def hides_output(model: str) -> bool:
    """Every model may reason unseen, except those that are known not to."""
    return not model.rpartition("/")[2].startswith(_SHOWS_ALL_OUTPUT)


def read(body: bytes, *, cap_field: str, tiers_of_auto: tuple[str, ...]) -> Ask:
    """Reads and bounds one request."""
    members = read_object(body)
    unknown = fields.examine(members, BODY)
    model = fields.text(members, "model", length_max=MODEL_CHARS_MAX)
    if "-search-" in model:
        fields.refuse_cost("model", _SEARCH)
    if members.get("modalities") not in (None, [], ["text"]):
        fields.refuse_cost("modalities", "audio output is not bounded yet.")
    write_units = {IN_CACHE_WRITE_30M}
    messages = _messages(members, write_units)
    tools = _tools(members)
    stream = fields.flag(members, "stream")
    cap_used, cap = _cap(members)
    choices = fields.integer(members, "n", least=1, most=limits.choices_max) or 1
    prediction = _prediction_bytes(members)
    _cache_unit(members, "prompt_cache_options", "", write_units)
    return Ask(
        dialect="openai",
        route="chat_completions",
        model=model,
        stream=stream,
        demand=Demand(
            input_tokens_max=bounds.input_tokens_max(
                body, members, messages=messages, tools=tools, per_request=bounds.TOKENS_PER_REQUEST_OPENAI
            ),
            input_units=(IN_TEXT, IN_CACHE_READ, *sorted(write_units)),
            output_tokens_named=cap,
            choices=choices,
            extra_output_tokens=prediction * choices,
            conditions=_conditions(members, tiers_of_auto),
        ),
        hides_usage=_hides_usage(members, stream=stream),
        hidden_output=bool(prediction) or hides_output(model),
        unknown_fields=unknown,
        messages=messages,
        tools=tools,
        cap_field=cap_used or cap_field,
        names=frozenset(members),
    )


def _cap(members: Members) -> tuple[str, int | None]:
    given = [(name, cap) for name in _CAPS if (cap := fields.integer(members, name, least=1)) is not None]
    if len(given) > 1:
        raise fields.invalid(_CAPS[1], f"and `{_CAPS[0]}` cannot both be set")
    return given[0] if given else ("", None)


def _hides_usage(members: Members, *, stream: bool) -> bool:
    options = fields.inner(members, "stream_options") or {}
    where = "stream_options."
    fields.examine(options, _STREAM_OPTIONS, where)
    fields.flag(options, "include_obfuscation", where)
    return not fields.flag(options, "include_usage", where) and stream


def _messages(members: Members, write_units: set[str]) -> int:
    messages = fields.objects(members.get("messages"), "messages")
    if not messages:
        raise fields.invalid("messages", "must not be empty")
    for index, message in enumerate(messages):
        if not message.keys() <= _MESSAGE.known:
            fields.examine(message, _MESSAGE, f"messages[{index}].")
        content = message.get("content")
        if type(content) is not str and content is not None:
            _parts(content, f"messages[{index}].content", write_units)
    return len(messages)


def _parts(content: Any, where: str, write_units: set[str]) -> None:
    for index, part in enumerate(fields.objects(content, where)):
        path = f"{where}[{index}]."
        fields.examine(part, _PART, path)
        if (kind := fields.word(part, "type", path)) not in _TEXT_PARTS:
            fields.refuse_cost(path + "type", f"of parts of type {kind!r} the tokens are not counted before the call yet.")
        _cache_unit(part, "prompt_cache_breakpoint", path, write_units)
        _cache_unit(part, "cache_control", path, write_units)


def _cache_unit(members: Members, name: str, where: str, write_units: set[str]) -> None:
    options = fields.inner(members, name, where)
    if options is None:
        return
    path = f"{where}{name}."
    fields.examine(options, _CACHE_OPTIONS, path)
    ttl = fields.word(options, "ttl", path) or ("5m" if name == "cache_control" else "30m")
    if ttl not in _WRITE_UNITS:
        fields.refuse_cost(path + "ttl", f"what a cache entry of {ttl!r} costs is not known.")
    write_units.add(_WRITE_UNITS[ttl])


def _tools(members: Members) -> int:
    tools = fields.objects(members.get("tools") or [], "tools")
    for index, tool in enumerate(tools):
        path = f"tools[{index}]."
        fields.examine(tool, _TOOL, path)
        if (kind := fields.word(tool, "type", path)) not in _TOOL_TYPES:
            fields.refuse_cost(path + "type", f"what a tool of type {kind!r} costs is not bounded.")
    return len(tools) + len(fields.objects(members.get("functions") or [], "functions"))


def _prediction_bytes(members: Members) -> int:
    """Rejected predictions are billed as output and no cap bounds them: each byte may be one token."""
    prediction = fields.inner(members, "prediction")
    if prediction is None:
        return 0
    return len(json.dumps(prediction, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def _conditions(members: Members, tiers_of_auto: tuple[str, ...]) -> tuple[Conditions, ...]:
    tier = fields.word(members, "service_tier") or "auto"
    served = tiers_of_auto if tier == "auto" else TIERS.get(tier)
    if served is None:
        fields.refuse_cost("service_tier", f"the tier {tier!r} has no price here.")
    return _under(served)


@lru_cache(maxsize=64)
def _under(tiers: tuple[str, ...]) -> tuple[Conditions, ...]:
    """One set of conditions per tier. Shared by all calls, so that what quotes work out for them is found again at once."""
    return tuple(Conditions(service_tier=name) for name in tiers)
