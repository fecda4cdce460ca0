"""Reading and bounding a messages request (providers.md §2.1, §2.6, §5.4, §6).

Owns which fields move cost or payer and which are refused because their cost has no bound (headers: `headers.py`). Does not own prices.
Counting tokens is free: there only what reaches into other state or another payer is refused.
"""

from collections.abc import Mapping

import msgspec

from farebox import limits
from farebox.dialects import bounds, fields
from farebox.dialects.anthropic import blocks
from farebox.dialects.anthropic import headers as headers_of
from farebox.dialects.base import Ask
from farebox.dialects.extras import Bounds, BySetting, Extras
from farebox.dialects.strict import Members, read_object
from farebox.usage import Conditions, Demand

THINKING_BUDGET_MIN = 1024
_PAYER = "it decides who pays."
_STATE = "it refers to state that is kept by the provider and is not in the request."
_COMPACTION = BySetting("compaction is billed beside the answer and is not bounded.")
_READ = (
    *("model", "messages", "max_tokens", "stream", "system", "tools", "thinking", "cache_control"),
    *("service_tier", "speed", "inference_geo", "context_management", "fallbacks"),
)
_HARMLESS = ("metadata", "output_config", "output_format", "stop_sequences", "temperature", "tool_choice", "top_k", "top_p", "diagnostics")
_REACHES_OUT = {
    "billing_policy": _PAYER,
    "user_profile_id": _PAYER,
    "workspace_id": _PAYER,
    "thread": _STATE,
    "container": _STATE,
    "mcp_servers": BySetting("what other servers add to the prompt is not known before the call."),
}
BODY = fields.names(
    _READ,
    _HARMLESS,
    {
        **_REACHES_OUT,
        **fields.OTHER_CAPS,
        "fallback_credit_token": "it reprices the request.",
        "compaction": _COMPACTION,
    },
)
_COUNT_BODY = fields.names(_READ, (*_HARMLESS, "compaction", "fallback_credit_token"), _REACHES_OUT)
_THINKING = fields.names(("type", "budget_tokens"), ("display",))
_CONTEXT = fields.names(("edits",))
_EDIT = fields.names(("type",), ("trigger", "keep", "clear_at_least", "exclude_tools", "clear_tool_inputs"))
_EDITS_THAT_ONLY_REMOVE = ("clear_tool_uses_", "clear_thinking_")
_TIERS = {"standard_only": ("default",)}
_SPEEDS = {"standard": ("standard",), "fast": ("fast", "standard")}
_GEOS = ("global", "us")
_SHOWS_ALL_OUTPUT = "claude-3-"
_THINKS_FIRST = "claude-3-7"
_NOTHING = Bounds("anthropic")


class Defaults(msgspec.Struct, frozen=True):
    """What the provider may do where a request does not say: decided by the operator's settings there."""

    tiers_of_auto: tuple[str, ...] = ("default", "priority")
    geos_of_default: tuple[str, ...] = _GEOS


def hides_output(model: str) -> bool:
    """Every model may think unseen, except the ones that could not yet."""
    name = model.rpartition("/")[2]
    return not name.startswith(_SHOWS_ALL_OUTPUT) or name.startswith(_THINKS_FIRST)


def read(route: str, body: bytes, headers: Mapping[bytes, bytes], defaults: Defaults, admits: Bounds = _NOTHING) -> Ask:
    """Reads and bounds one request."""
    counting = route == "count_tokens"
    unheard = headers_of.read(headers)
    members = read_object(body)
    extras = Extras(admits)
    unknown = fields.examine(members, _COUNT_BODY if counting else BODY, extras=extras)
    model = fields.text(members, "model", length_max=limits.model_name_chars_max)
    content = blocks.Content(extras, free=counting)
    content.read_request(members)
    if not counting:
        _check_context_management(members, extras)
        content.beside.read_fallbacks(members)
    cap, cap_min, thinking = (0, 0, "") if counting else _cap(members)
    own = bounds.input_tokens_max(
        body, members, messages=content.messages, tools=content.tools, per_request=bounds.TOKENS_PER_REQUEST_ANTHROPIC
    )
    beside, media = content.beside, content.media
    units, conditions = media.units(content.write_units), _conditions(members, defaults)
    own += content.referred + content.found * limits.search_tokens_max - media.chars + media.tokens_max(model, *beside.models())
    most = beside.input_tokens_max(own, cap)
    ask = Ask(
        dialect="anthropic",
        route=route,
        model=model,
        stream=not counting and fields.flag(members, "stream"),
        demand=Demand(
            input_tokens_max=most,
            input_units=units,
            output_tokens_named=cap,
            output_tokens_min=cap_min,
            fees_max=beside.fees(),
            conditions=conditions,
            prompts=1 + beside.free_uses,
            others=beside.others(most, cap, units, conditions),
        ),
        hidden_output=bool(beside.uses or beside.fallbacks) or (thinking != "disabled" and (bool(thinking) or hides_output(model))),
        unknown_fields=unknown + unheard,
        messages=content.messages,
        tools=content.tools,
        cap_field="max_tokens",
        names=frozenset(members),
        uses=tuple(content.uses),
    )
    return extras.onto(ask)


def _cap(members: Members) -> tuple[int, int, str]:
    """The cap, the least it may be lowered to, and the kind of thinking asked for."""
    cap = fields.integer(members, "max_tokens", least=0)
    if cap is None:
        raise fields.invalid("max_tokens", "is required")
    thinking = fields.inner(members, "thinking")
    if thinking is None:
        return cap, min(cap, 1), ""
    fields.examine(thinking, _THINKING, "thinking.")
    kind = fields.word(thinking, "type", "thinking.") or ""
    budget = fields.integer(thinking, "budget_tokens", least=THINKING_BUDGET_MIN, where="thinking.")
    return cap, min(cap, 1 if budget is None else budget + 1), kind


def _check_context_management(members: Members, extras: Extras) -> None:
    management = fields.inner(members, "context_management")
    if management is None:
        return
    fields.examine(management, _CONTEXT, "context_management.")
    for index, edit in enumerate(fields.objects(management.get("edits") or [], "context_management.edits")):
        path = f"context_management.edits[{index}]."
        fields.examine(edit, _EDIT, path)
        kind = fields.word(edit, "type", path) or ""
        if not kind.startswith(_EDITS_THAT_ONLY_REMOVE):
            extras.take(path + "type", _COMPACTION, name=path + kind)


def _conditions(members: Members, defaults: Defaults) -> tuple[Conditions, ...]:
    """Every combination of tier, speed and region that the call may be billed under."""
    tier = fields.word(members, "service_tier") or "auto"
    tiers = defaults.tiers_of_auto if tier == "auto" else _TIERS.get(tier)
    if tiers is None:
        fields.refuse_cost("service_tier", f"the tier {tier[:64]!r} has no price here.")
    speed = fields.word(members, "speed") or "standard"
    if speed not in _SPEEDS:
        fields.refuse_cost("speed", f"the speed {speed[:64]!r} has no price here.")
    geo = fields.word(members, "inference_geo")
    if geo is not None and geo not in _GEOS:
        fields.refuse_cost("inference_geo", f"the region {geo[:64]!r} has no price here.")
    geos = defaults.geos_of_default if geo is None else (geo,)
    return tuple(
        Conditions(service_tier=tier_name, speed=speed_name, geo=geo_name)
        for tier_name in tiers
        for speed_name in _SPEEDS[speed]
        for geo_name in geos
    )
