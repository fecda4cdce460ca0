"""The tools that OpenAI runs itself inside a response: which were offered, how often each is used, what that is billed as. Pure."""

from collections.abc import Sequence

import msgspec

from .generation import Part
from .openai_dialect import one_of
from .reading import decode
from .words import Words

IMAGE_MODEL_DEFAULT = "gpt-image-1"
MEMORY_LIMITS = ("1g", "4g", "16g", "64g")
PARTIAL_IMAGE_TOKENS = 100
"""Output tokens that each partial image of a stream adds."""
_SEARCH_PREVIEW_DEAR = ("gpt-4o", "gpt-4.1")
"""Models that do not reason: their searches with the preview tool are dearer."""


class _Container(msgspec.Struct):
    memory_limit: str | None = None


class _Tool(msgspec.Struct):
    type: str = ""
    container: str | _Container | None = None
    model: str | None = None
    partial_images: int | None = None


_tool = msgspec.json.Decoder(_Tool)


class Tools(msgspec.Struct, frozen=True):
    """What the tools of one response do."""

    searches: int = 0
    search_fee: str = "web_search"
    file_searches: int = 0
    containers: int = 0
    container_id: str = ""
    """The container that the request names; else each call opens one."""
    memory: str = "1g"
    programs: int = 0
    """How many run in them."""
    image_model: str = ""
    """None: no picture is drawn."""
    image_input: int = 0
    image_output: int = 0
    partials: int = 0

    @property
    def fees(self) -> dict[str, int]:
        """How many of each fee."""
        found = {self.search_fee: self.searches, "file_search": self.file_searches, f"container_{self.memory}": self.containers}
        return {fee: count for fee, count in found.items() if count}

    @property
    def parts(self) -> tuple[Part, ...]:
        """What is used at other models."""
        if not self.image_model:
            return ()
        units = {"input_tokens": self.image_input, "output_tokens": self.image_output, "output_image_tokens": self.image_output}
        return (Part(self.image_model, units),)

    def usage(self) -> dict[str, object]:
        """The `tool_usage` of a response."""
        image = {
            "input_tokens": self.image_input,
            "input_tokens_details": {"text_tokens": self.image_input, "image_tokens": 0},
            "output_tokens": self.image_output,
            "output_tokens_details": {"image_tokens": self.image_output, "text_tokens": 0},
            "total_tokens": self.image_input + self.image_output,
            "cached_tokens": 0,
            "cached_tokens_details": {"cached_text_tokens": 0, "cached_image_tokens": 0},
        }
        return {"web_search": {"num_requests": self.searches}, "image_gen": image}


NO_TOOLS = Tools()


def tools_used(offered: Sequence[msgspec.Raw], words: Words, model: str, calls_max: int | None, *, streamed: bool) -> Tools:
    """What the tools do: as the words ask, where the request offers them, and all together no more often than it allows."""
    if not offered:
        return NO_TOOLS
    tools = [decode(_tool, tool) for tool in offered]
    left = 10**9 if calls_max is None else calls_max
    search = _first(tools, "web_search")
    searches = min(words.web_search, left) if search else 0
    left -= searches
    file_searches = min(words.file_search, left) if _first(tools, "file_search") else 0
    left -= file_searches
    interpreter = _first(tools, "code_interpreter")
    containers = min(words.containers, left) if interpreter else 0
    programs = min(containers + 1, left) if containers else 0  # the first container runs a second program, which costs nothing more
    left -= programs
    image = _first(tools, "image_generation") if words.image_gen and left > 0 else None
    named, memory = _container(interpreter)
    partials = (image.partial_images or 0) if image and streamed else 0
    return Tools(
        searches=searches,
        search_fee="web_search_preview" if search and search.type.startswith("web_search_preview") and _is_dear(model) else "web_search",
        file_searches=file_searches,
        containers=min(containers, 1) if named else containers,
        container_id=named,
        memory=memory,
        programs=programs,
        image_model=(image.model or IMAGE_MODEL_DEFAULT) if image else "",
        image_input=words.image_gen_in if image else 0,
        image_output=words.image_gen + PARTIAL_IMAGE_TOKENS * partials if image else 0,
        partials=partials,
    )


def _first(tools: Sequence[_Tool], kind: str) -> _Tool | None:
    return next((tool for tool in tools if tool.type == kind or tool.type.startswith(f"{kind}_")), None)


def _container(tool: _Tool | None) -> tuple[str, str]:
    """Its id, if the request names one, and how much memory it has."""
    if tool is None or tool.container is None:
        return "", "1g"
    if isinstance(tool.container, str):
        return tool.container, "1g"
    return "", one_of("tools[].container.memory_limit", tool.container.memory_limit, MEMORY_LIMITS, "1g")


def _is_dear(model: str) -> bool:
    return model.startswith(_SEARCH_PREVIEW_DEAR)
