"""What a request to Anthropic asks for beside text: tools on the provider's side, other models, a place, thinking. Pure.

Tools on the provider's side run only when the request offers them, and as often as it allows. What they bring back is input of the same call:
400 tokens for a search, 1,000 for a page (or the tool's `max_content_tokens`), 50 for a program.
"""

from collections.abc import Mapping, Sequence

import msgspec

from .generation import NO_UNITS, Part
from .reading import decode
from .refusals import RefusedError, invalid
from .words import Words

SEARCH_TOKENS = 400
PAGE_TOKENS = 1_000
PROGRAM_TOKENS = 50
SIDE_OUTPUT_TOKENS = 40
"""What a run of a model beside the one that answers generates, if the cap allows as much."""


class Tool(msgspec.Struct):
    """A tool of the request."""

    name: str = "tool"
    type: str = ""
    model: str | None = None
    max_uses: int | None = None
    max_tokens: int | None = None
    max_content_tokens: int | None = None


class Fallback(msgspec.Struct):
    """A model to go on with when the one that was asked declines."""

    model: str | None = None


class Extras(msgspec.Struct, frozen=True):
    """What shows in an answer beside the text: an answer that needs none of it has none of these."""

    requested: str
    """The model that was asked, which need not be the one that answered."""
    thinks: bool = False
    searches: int = 0
    failed_searches: int = 0
    pages: int = 0
    programs: int = 0
    program_tool: str = ""
    grown: int = 0
    """Input tokens that the tools on the provider's side brought back."""
    runs: tuple[str, ...] = ()
    """Kinds of iterations."""
    advisor: str = ""
    side_output: int = SIDE_OUTPUT_TOKENS
    advisor_output: int = SIDE_OUTPUT_TOKENS
    refuses: bool = False

    @property
    def fees(self) -> Mapping[str, int]:
        """What is paid besides tokens. A search that fails is not."""
        return {"web_search": self.searches} if self.searches else NO_UNITS

    def parts(self, model: str, prompt: int) -> tuple[Part, ...]:
        """What the runs beside the one that answers use, each billed by itself at its own model. One that declined before its first token is not."""
        outputs = {
            "message": (model, 0),
            "compaction": (model, self.side_output),
            "advisor_message": (self.advisor, self.advisor_output),
            "fallback_output": (self.requested, self.side_output),
            "unknown": (model, self.side_output),
        }
        return tuple(_part(*outputs[kind], prompt) for kind in self.runs if kind in outputs)


def _part(model: str, output: int, prompt: int) -> Part:
    return Part(model, {"input_tokens": prompt, "cache_write_tokens": 0, "output_tokens": output})


_tool = msgspec.json.Decoder(Tool)
_fallbacks = msgspec.json.Decoder(list[Fallback])


def asks_for_extras(words: Words) -> bool:
    """Whether a word needs more than an answer of text."""
    tools = words.web_search or words.web_search_errors or words.web_fetch or words.code_execution
    return bool(tools or words.iterations) or words.refusal is not None


def extras_of(words: Words, tools: Sequence[msgspec.Raw], *, model: str, cap: int, thinks: bool) -> Extras:
    """What the request and its words come to. A word for another model that the request does not name is refused."""
    offered = [decode(_tool, tool) for tool in tools]
    search, page, program = (_first(offered, kind) for kind in ("web_search_", "web_fetch_", "code_execution_"))
    searches = _uses(words.web_search, search, words)
    pages, programs = _uses(words.web_fetch, page, words), _uses(words.code_execution, program, words)
    runs = tuple(words.iterations.split("-")) if words.iterations else ()
    return Extras(
        requested=model,
        thinks=thinks,
        searches=searches,
        failed_searches=_uses(searches + words.web_search_errors, search, words) - searches,
        pages=pages,
        programs=programs,
        program_tool=program.type if program else "",
        grown=searches * SEARCH_TOKENS + pages * _page_tokens(page) + programs * PROGRAM_TOKENS,
        runs=runs,
        advisor=_advisor(offered) if "advisor_message" in runs else "",
        side_output=min(cap, SIDE_OUTPUT_TOKENS),
        advisor_output=min([SIDE_OUTPUT_TOKENS, *[tool.max_tokens for tool in offered if tool.model and tool.max_tokens is not None]]),
        refuses=words.refusal is not None,
    )


def served_by(extras: Extras, fallbacks: msgspec.Raw) -> str:
    """The model that answers."""
    if not {"fallback_message", "fallback_output"} & set(extras.runs):
        return extras.requested
    chain = decode(_fallbacks, fallbacks) if bytes(fallbacks).startswith(b"[") else []
    if not chain or not chain[0].model:
        raise invalid("sim:iterations=fallback_message: the request names no fallbacks")
    return chain[0].model


def _first(offered: Sequence[Tool], kind: str) -> Tool | None:
    return next((tool for tool in offered if tool.type.startswith(kind)), None)


def _uses(wanted: int, tool: Tool | None, words: Words) -> int:
    if tool is None:
        return 0
    return wanted if tool.max_uses is None or words.ignore_cap else min(wanted, tool.max_uses)


def _page_tokens(tool: Tool | None) -> int:
    return PAGE_TOKENS if tool is None or tool.max_content_tokens is None else min(PAGE_TOKENS, tool.max_content_tokens)


def _advisor(offered: Sequence[Tool]) -> str:
    tool = _first(offered, "advisor_")
    if tool is None or not tool.model:
        raise invalid("sim:iterations=advisor_message: the request offers no advisor")
    return tool.model


NEWEST = b"2026-10-21"
VERSIONS = (b"", b"2023-06-01", NEWEST)
"""What `anthropic-version` may say; nothing at all is taken for the first."""
SAMPLING = ("temperature", "top_p", "top_k")
"""Members that the newest version does not have any more."""


def check_version(version: bytes) -> bytes:
    """The version, if there is one of that name."""
    if version not in VERSIONS:
        raise RefusedError(400, f'anthropic-version: "{version[:80].decode("latin-1")}" is not a valid version')
    return version
