"""Reading and bounding a request to create a response (providers.md §1.2, §1.3, §5.4, §5.5).

Owns which fields move cost and which are refused because their cost has no bound. Does not own its items and tools, nor prices.
"""

import msgspec

from farebox import limits
from farebox.dialects import bounds, fields
from farebox.dialects.base import Ask
from farebox.dialects.extras import Bounds, Extras
from farebox.dialects.media.asked import WHATEVER_FITS, Media
from farebox.dialects.openai import request as chat
from farebox.dialects.openai.responses import items, tools
from farebox.dialects.openai.responses.kept import ITEM, is_id
from farebox.dialects.openai.responses.tools import Tools
from farebox.dialects.strict import Members, read_object
from farebox.usage import IN_CACHE_WRITE_30M, Demand

_OUTPUT_TOKENS_LEAST = 16
"""The provider refuses a lower cap."""
_TEMPLATE = "it adds a stored template that is not in the request."
_READ = (
    *("model", "input", "instructions", "max_output_tokens", "max_tool_calls", "stream", "stream_options", "service_tier", "tools"),
    *("background", "store", "previous_response_id", "conversation", "prompt_cache_options"),
)
_HARMLESS = (
    *("include", "metadata", "moderation", "parallel_tool_calls", "prompt_cache_key", "prompt_cache_retention", "reasoning"),
    *("safety_identifier", "temperature", "text", "tool_choice", "top_logprobs", "top_p", "truncation", "user"),
)
_OTHER_CAPS = {name: why for name, why in fields.OTHER_CAPS.items() if name != "max_output_tokens"}
_ANOTHER_CAP = "it is another API's name for the output cap, and a lenient host might follow it."
BODY = fields.names(
    _READ,
    _HARMLESS,
    {
        **_OTHER_CAPS,
        **dict.fromkeys(("max_tokens", "max_completion_tokens"), _ANOTHER_CAP),
        "prompt": _TEMPLATE,
        "context_management": "compaction is billed beside the answer and is not bounded.",
        "models": "the request may be served by other models than the one it is priced for.",
        "n": "it multiplies the output.",
    },
)
_STREAM_OPTIONS = fields.names((), ("include_obfuscation",))
_CONVERSATION = fields.names(("id",))
_CACHE_OPTIONS = fields.names(("ttl", "comparison_response_id"), ("mode", "prewarm"))
_TIERS = {"ultrafast": ("ultrafast", "priority", "default")}
"""Those that chats do not have."""
_NOTHING = Bounds("openai")


class Facts(msgspec.Struct):
    """What the answer is read by."""

    search_unit: str = ""
    """The unit of the web searches that were asked for; empty: none were."""
    container_gb: int = 0
    """The size of the containers that were asked for, in GB; 0: none were."""
    written_12h: bool = False
    """Cache entries of twelve hours were asked for."""
    tool_calls_set: int | None = None
    """The cap on calls of the provider's tools that is set on the caller's behalf."""
    sequence: int = -1
    """The number of the last event that was seen: an event of ours goes on from there."""


def facts_of(ask: Ask) -> Facts:
    """The facts of a request, also of one that was kept as JSON meanwhile."""
    return ask.facts if isinstance(ask.facts, Facts) else msgspec.convert(ask.facts or {}, Facts)


def sequence_of(ask: Ask) -> int:
    """The number of the last event of a stream; -1 before the first."""
    return facts_of(ask).sequence


def read(route: str, body: bytes, *, tiers_of_auto: tuple[str, ...], admits: Bounds = _NOTHING, keeps_items: bool = False) -> Ask:
    """Reads and bounds one request. `keeps_items`: whether the provider keeps the items of a response under ids that can be named."""
    members = read_object(body)
    extras = Extras(admits)
    unknown = fields.examine(members, BODY, extras=extras)
    model = fields.text(members, "model", length_max=limits.model_name_chars_max)
    fields.word(members, "instructions")
    fields.examine(fields.inner(members, "stream_options") or {}, _STREAM_OPTIONS, "stream_options.")
    write_units = {IN_CACHE_WRITE_30M}
    media = Media(rules="openai")
    found = items.read_input(members.get("input"), write_units, media, extras, keeps_items=keeps_items)
    asked = tools.read_tools(members, found.count, extras)
    chat.cache_unit(members, "prompt_cache_options", "", write_units, _CACHE_OPTIONS)
    cap = fields.integer(members, "max_output_tokens", least=_OUTPUT_TOKENS_LEAST)
    kept, before = _state(members)
    context = _context(members)
    adds = bool(before) or found.recalls
    own = bounds.input_tokens_max(body, members, messages=found.count, tools=asked.count, per_request=bounds.TOKENS_PER_REQUEST_OPENAI)
    own += media.tokens_max(model) - media.chars
    run = _run(own, asked, cap)
    facts = Facts(asked.search_unit, asked.container_gb, "in_cache_write_12h" in write_units, asked.calls_set)
    ask = Ask(
        dialect="openai",
        route=route,
        model=model,
        stream=fields.flag(members, "stream"),
        demand=Demand(
            input_tokens_max=WHATEVER_FITS if adds or run is None else run * (1 + asked.calls),
            input_units=media.units(write_units),
            output_tokens_named=cap,
            output_tokens_min=_OUTPUT_TOKENS_LEAST,
            fees_max=asked.fees,
            prompts=1 if asked.search_unit else 1 + asked.calls,  # searches count by their fee
            conditions=chat.conditions(members, tiers_of_auto, _TIERS),
        ),
        hidden_output=asked.calls > 0 or chat.hides_output(model),
        unknown_fields=unknown,
        messages=found.count,
        tools=asked.count,
        cap_field="max_output_tokens",
        names=frozenset(members),
        background=fields.flag(members, "background"),
        stores=(("response", ITEM) if keeps_items else ("response",)) if kept else (),
        uses=before + found.uses + _compared(members),
        own_input_max=run if adds and (keeps_items or not found.recalls) and context != "all_turns" else None,
        leaves_total=context != "current_turn" and members.get("truncation") in (None, "disabled"),
        own_runs=1 + asked.calls,
        facts=facts,
    )
    return extras.onto(ask)


def _run(own: int, asked: Tools, cap: int | None) -> int | None:
    """What one run of the model reads at most. Every call of a server tool is another one, over all there was before: the request, what was found,
    and what was written. None: nothing bounds what is written, by the model or by the programs that it runs.
    """
    if not asked.calls:
        return own
    return None if cap is None or asked.container_gb else own + asked.calls * limits.search_tokens_max + cap


def _context(members: Members) -> str:
    """Of which turns the provider shows the model its thoughts again: more of them than the response had that is gone on from, where it is said so."""
    reasoning = fields.inner(members, "reasoning") or {}
    if reasoning.get("mode") not in (None, "standard"):
        fields.refuse_cost("reasoning.mode", "how often the model reads the request in it is not known.")
    return fields.word(reasoning, "context", "reasoning.") or "auto"


def _state(members: Members) -> tuple[bool, tuple[tuple[str, str], ...]]:
    """Whether the provider keeps the response, and the stored objects that the request goes on from."""
    kept = members.get("store") is None or fields.flag(members, "store")
    if fields.flag(members, "background") and not kept:
        raise fields.invalid("background", "needs `store`: what is not kept cannot be asked for later")
    uses = []
    before = fields.word(members, "previous_response_id")
    if before is not None:
        uses.append(("response", _id("previous_response_id", before)))
    conversation = members.get("conversation")
    if type(conversation) is dict:
        fields.examine(conversation, _CONVERSATION, "conversation.")
        conversation = fields.text(conversation, "id", length_max=limits.object_id_chars_max)
    if conversation is not None:
        if type(conversation) is not str:
            raise fields.invalid("conversation", "must be a string or an object with an id")
        uses.append(("conversation", _id("conversation", conversation)))
    return kept, tuple(uses)


def _compared(members: Members) -> tuple[tuple[str, str], ...]:
    """The response whose cache entries are compared with this one's: it adds no input, but the answer tells about it."""
    name = "comparison_response_id"
    compared = fields.word(fields.inner(members, "prompt_cache_options") or {}, name, "prompt_cache_options.")
    return () if compared is None else (("response", _id("prompt_cache_options." + name, compared)),)


def _id(field: str, value: str) -> str:
    if not is_id(value):
        raise fields.invalid(field, "cannot be an id")
    return value
