"""What a messages request may make the provider do beside answering once: its own tools, an adviser, models to fall back to.

Owns their caps, their fees and at which models they are billed (providers.md §2.1, §5.5). Does not own prices.
"""

import re

import msgspec

from farebox import limits
from farebox.dialects import fields
from farebox.dialects.strict import Members
from farebox.usage import IN_TEXT, TOOL_WEB_SEARCH, Conditions, Demand, Other

_SEARCH = re.compile(r"web_search_\d{8}")
_FETCH = re.compile(r"web_fetch_\d{8}")
_ADVISOR = re.compile(r"advisor_\d{8}")
_OF_THE_CALLER = re.compile(r"(?:bash|text_editor|computer|memory)_\d{8}")
"""Tools that the provider defines and the caller runs: their definition is a system prompt, bounded with the request's."""
_NAMED = ("name", "cache_control", "type", "max_uses")
_SEARCH_TOOL = fields.names(
    (*_NAMED, "allowed_callers"), ("allowed_domains", "blocked_domains", "user_location", "defer_loading", "response_inclusion")
)
_FETCH_TOOL = fields.names(
    (*_NAMED, "max_content_tokens", "allowed_callers"), ("allowed_domains", "blocked_domains", "citations", "defer_loading")
)
_ADVISOR_TOOL = fields.names((*_NAMED, "model", "max_tokens", "caching"), ("defer_loading", "allowed_callers"))
_CALLER_TOOL = fields.names(
    ("name", "cache_control", "type"),
    (
        "display_width_px",
        "display_height_px",
        "display_number",
        "enable_zoom",
        "max_characters",
        "input_examples",
        "strict",
        "defer_loading",
    ),
)
_FALLBACK = fields.names(("model", "max_tokens", "speed"), ("thinking", "output_config"))
_SPEEDS = {"standard": ("standard",), "fast": ("fast", "standard")}
_FILTERS_SINCE = "20260209"
"""From this version on the model reads what the web tools found by programs of its own, unless it is to call them itself."""
_DIRECT = ["direct"]
_NO_CAP = "without it the provider may use the tool as often as it likes: set it."


class Beside(msgspec.Struct):
    """What was found, in numbers."""

    searches: int = 0
    fetches: int = 0
    fetched_tokens: int = 0
    """Of all pages together."""
    advisers: tuple[tuple[str, int, int], ...] = ()
    """Of each: its model, how often it may be asked, and its output cap."""
    fallbacks: tuple[tuple[str, int | None, str], ...] = ()
    """Of each: its model, its output cap where it has one of its own, and its speed where that is not the request's."""

    @property
    def free_uses(self) -> int:
        """How often anything without a fee may interrupt the answer."""
        return self.fetches + sum(uses for _, uses, _ in self.advisers)

    @property
    def uses(self) -> int:
        """How often anything may interrupt the answer, and run the model again over all there was before."""
        return self.searches + self.free_uses

    def read_tool(self, tool: Members, kind: str, path: str) -> bool:
        """Takes a tool of the provider's into account. False where the type is none that can be bounded."""
        if _OF_THE_CALLER.fullmatch(kind):
            fields.examine(tool, _CALLER_TOOL, path)
        elif _SEARCH.fullmatch(kind):
            fields.examine(tool, _SEARCH_TOOL, path)
            self.searches += _uses(tool, path)
        elif _FETCH.fullmatch(kind):
            fields.examine(tool, _FETCH_TOOL, path)
            uses = _uses(tool, path)
            self.fetches += uses
            self.fetched_tokens += uses * _required(tool, "max_content_tokens", path, fields.INT_MAX)
        elif _ADVISOR.fullmatch(kind):
            fields.examine(tool, _ADVISOR_TOOL, path)
            cap = _required(tool, "max_tokens", path, fields.INT_MAX)
            self.advisers += ((fields.text(tool, "model", length_max=limits.model_name_chars_max), _uses(tool, path), cap),)
        else:
            return False
        return True

    def read_fallbacks(self, members: Members) -> None:
        """Takes the models into account that go on where the one asked declines."""
        chain = members.get("fallbacks") or []
        if type(chain) is str:
            fields.refuse_cost("fallbacks", "it lets the provider choose other models: name them.")
        for index, fallback in enumerate(fields.objects(chain, "fallbacks")):
            path = f"fallbacks[{index}]."
            unknown = fields.examine(fallback, _FALLBACK, path)
            if unknown:
                fields.refuse_cost(path + unknown[0], "what it changes for this model alone is not known here.")
            cap = fields.integer(fallback, "max_tokens", least=1, where=path)
            self.fallbacks += ((fields.text(fallback, "model", length_max=limits.model_name_chars_max), cap, _own_speed(fallback, path)),)

    def input_tokens_max(self, own: int, cap: int) -> int:
        """The most input tokens of a request whose own bound and output cap are given: all of it, every time the model runs."""
        if not self.uses:
            return own
        advised = sum(uses * adviser_cap for _, uses, adviser_cap in self.advisers)
        return (1 + self.uses) * (own + self.searches * limits.search_tokens_max + self.fetched_tokens + advised + cap)

    def models(self) -> tuple[str, ...]:
        """Every other model that reads the request."""
        return (*(model for model, _, _ in self.advisers), *(model for model, _, _ in self.fallbacks))

    def fees(self) -> dict[str, int]:
        """What has a fee of its own."""
        return {TOOL_WEB_SEARCH: self.searches} if self.searches else {}

    def others(self, input_tokens: int, cap: int, units: tuple[str, ...], conditions: tuple[Conditions, ...]) -> tuple[Other, ...]:
        """The worst cases at other models. `input_tokens` bounds what any one run can see."""
        found = []
        for model, uses, adviser_cap in self.advisers:
            demand = Demand(
                uses * input_tokens, (*units, IN_TEXT), output_tokens_named=uses * adviser_cap, conditions=conditions, prompts=uses
            )
            found.append(Other(model, demand))
        for model, own_cap, speed in self.fallbacks:
            at = _at_speed(conditions, speed) if speed else conditions
            demand = Demand(input_tokens, units, output_tokens_named=own_cap or cap, conditions=at, prompts=1 + self.uses)
            found.append(Other(model, demand))
        return tuple(found)


def runs_programs(tool: Members, kind: str) -> bool:
    """Whether a web tool may bring the model to run programs: each runs the model again, and none of that is capped by `max_uses`."""
    if not (_SEARCH.fullmatch(kind) or _FETCH.fullmatch(kind)):
        return False
    return tool.get("allowed_callers", _DIRECT if kind[-len(_FILTERS_SINCE) :] < _FILTERS_SINCE else None) != _DIRECT


def _own_speed(fallback: Members, path: str) -> str:
    """The speed of one attempt alone: where it is said, as null, it is the plain one."""
    if "speed" not in fallback:
        return ""
    speed = fields.word(fallback, "speed", path) or "standard"
    if speed not in _SPEEDS:
        fields.refuse_cost(path + "speed", f"the speed {speed[:64]!r} has no price here.")
    return speed


def _at_speed(conditions: tuple[Conditions, ...], speed: str) -> tuple[Conditions, ...]:
    return tuple(dict.fromkeys(msgspec.structs.replace(one, speed=served) for one in conditions for served in _SPEEDS[speed]))


def _uses(tool: Members, path: str) -> int:
    return _required(tool, "max_uses", path, limits.tool_calls_max)


def _required(tool: Members, name: str, path: str, most: int) -> int:
    found = fields.integer(tool, name, least=1, most=most, where=path)
    if found is None:
        fields.refuse_cost(path + name, _NO_CAP)
    return found
