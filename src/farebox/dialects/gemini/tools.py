"""The tools of a request to Gemini: the caller's functions, and those of the provider that cost something (providers.md §3.1).

Owns which are bounded, by what, and which are refused. A tool that is not known is refused: nobody knows what it costs.
"""

from typing import Any

import msgspec

from farebox import limits
from farebox.dialects.extras import ByFee, BySetting
from farebox.dialects.gemini import spelling
from farebox.dialects.gemini.spelling import Extras
from farebox.usage import TOOL_GROUNDING, TOOL_GROUNDING_MAPS

_STATE = "it reads what is kept by the provider for whoever stored it."
_ANOTHER = BySetting("what it costs is not known here.")
_FEE = ByFee("what it costs beside its tokens is not known here.")
_SEARCHES = frozenset(("googleSearch", "googleSearchRetrieval"))
_TOOL = spelling.shape(
    ("functionDeclarations", *_SEARCHES, "googleMaps", "urlContext"),
    (),
    {
        "codeExecution": BySetting("how often it runs, and the model reads its output again, has no cap."),
        "computerUse": BySetting("how many tokens its own instructions are is not known."),
        "fileSearch": _STATE,
        "retrieval": _STATE,
        "mcpServers": BySetting("what other servers add to the prompt is not known before the call."),
        "enterpriseWebSearch": _FEE,
        "parallelAiSearch": _FEE,
        "exaAiSearch": _FEE,
    },
)
_PER_PROMPT = ("gemini-1", "gemini-2")


def per_prompt(model: str) -> bool:
    """Whether grounding in a search costs once for each answer; later models are charged for each query."""
    return model.rpartition("/")[2].startswith(_PER_PROMPT)


class Tools(msgspec.Struct):
    """What was found, in numbers."""

    functions: int = 0
    searches: bool = False
    maps: bool = False
    reads_pages: bool = False

    def read(self, tools: Any, where: str, extras: Extras) -> None:
        """Takes every tool into account."""
        for index, tool in enumerate(spelling.objects(tools, where)):
            path = f"{where}[{index}]."
            members, unknown = spelling.read(tool, _TOOL, path, extras)
            for name in unknown:
                extras.take(path + name, _ANOTHER, holds=tool.get(name))
            self.functions += len(spelling.objects(members.get("functionDeclarations"), path + "functionDeclarations"))
            named = {name for name, value in members.items() if value is not None}
            self.searches = self.searches or not named.isdisjoint(_SEARCHES)
            self.maps = self.maps or "googleMaps" in named
            self.reads_pages = self.reads_pages or "urlContext" in named

    @property
    def of_the_provider(self) -> bool:
        """Whether the model may be interrupted, and read something that nobody sent."""
        return self.searches or self.maps or self.reads_pages

    def input_tokens_max(self) -> int:
        """What they add to the prompt at most."""
        found = limits.search_tokens_max * (limits.grounding_queries_max * self.searches + self.maps)
        return found + limits.context_tokens_unknown_max * self.reads_pages

    def fees(self, model: str) -> dict[str, int]:
        """What has a fee of its own. The API has no cap of queries: more than are held for are charged as they are reported."""
        fees = {}
        if self.searches:
            fees[TOOL_GROUNDING] = 1 if per_prompt(model) else limits.grounding_queries_max
        if self.maps:
            fees[TOOL_GROUNDING_MAPS] = 1
        return fees
