"""The `response` object of OpenAI's `/v1/responses`: its output items, its usage, itself in every status. Pure."""

from collections.abc import Iterator, Mapping

import msgspec

from .generation import Generation, arguments, text
from .openai_tools import NO_TOOLS, Tools
from .spoil import spoil_usage

Item = dict[str, object]
PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
"""A PNG of one grey pixel."""
FAILURE = "The server had an error while processing your request. Sorry about that!"


class Asked(msgspec.Struct, frozen=True):
    """What a response says again of its request."""

    input: tuple[Item, ...] = ()
    """As items, each with its id."""
    echo: Mapping[str, object] = {}
    """Members of the response that repeat the request's."""
    tools: Tools = NO_TOOLS
    conversation: str = ""
    background: bool = False
    store: bool = True
    streamed: bool = False
    encrypts: bool = False
    """Reasoning is given in its encryption: four characters for each token, so that it is as many when it is sent again."""


NOTHING_ASKED = Asked()


def asked_of(generation: Generation) -> Asked:
    """What the request had beside what every dialect knows."""
    detail = generation.ask.detail
    return detail if isinstance(detail, Asked) else NOTHING_ASKED


def response_id(generation: Generation) -> str:
    """The id of the response itself."""
    return f"resp_{generation.stem.decode()}"


def status_at_end(generation: Generation) -> str:
    """How it ends: `completed`, `incomplete` or `failed`."""
    if generation.ask.words.end in {"failed", "error"}:
        return "failed"
    return "incomplete" if generation.truncated or generation.ask.words.end == "incomplete" else "completed"


def response(generation: Generation, status: str, output_billed: int | None = None) -> dict[str, object]:
    """The object in a status. A cancelled one reports the output that is billed after all."""
    asked = asked_of(generation)
    over = status in {"completed", "incomplete", "cancelled"}
    body: dict[str, object] = {
        "id": response_id(generation),
        "object": "response",
        "created_at": generation.created_s,
        "status": status,
        "background": asked.background,
        "completed_at": generation.created_s if status == "completed" else None,
        "error": {"code": generation.ask.words.code or "server_error", "message": FAILURE} if status == "failed" else None,
        "incomplete_details": _incomplete(generation) if status == "incomplete" else None,
        "model": generation.ask.model,
        "output": list(items(generation)) if status in {"completed", "incomplete", "failed"} else [],
        "service_tier": generation.terms.service_tier if over else "auto",
        "store": asked.store,
        **asked.echo,
    }
    usage = _usage(generation, generation.output_total if output_billed is None else output_billed) if over else b""
    body["usage"] = msgspec.Raw(usage) if usage else None
    if over and not generation.ask.words.tool_usage:
        body["tool_usage"] = asked.tools.usage()
    return body


def items(generation: Generation) -> Iterator[Item]:
    """The output items, each finished, in the order they come."""
    stem, tools = generation.stem.decode(), asked_of(generation).tools
    if generation.reasoning:
        encrypted = "c2lt" * generation.reasoning if asked_of(generation).encrypts else None
        yield {"id": f"rs_{stem}", "type": "reasoning", "summary": [], "encrypted_content": encrypted}
    yield from _searches(stem, tools)
    for index in range(tools.file_searches):
        queries = ["fares"]
        yield {"id": f"fs_{stem}_{index}", "type": "file_search_call", "status": "completed", "queries": queries, "results": None}
    yield from _programs(stem, tools)
    if tools.image_model:
        yield _picture(stem)
    if generation.ask.tool is not None:
        yield function_call(generation, arguments(generation))
    elif generation.visible or not (generation.reasoning or tools is not NO_TOOLS):
        yield message(generation, text(generation))


def message(generation: Generation, said: str) -> Item:
    """The message, finished."""
    status = "incomplete" if status_at_end(generation) == "incomplete" else "completed"
    content = [{"type": "output_text", "text": said, "annotations": annotations(generation), "logprobs": []}]
    return {"id": f"msg_{generation.stem.decode()}", "type": "message", "status": status, "role": "assistant", "content": content}


def annotations(generation: Generation) -> list[Item]:
    """The pages that the message refers to."""
    cited = {"type": "url_citation", "start_index": 0, "end_index": 0, "title": "Fares"}
    return [
        {**cited, "url": f"https://example.com/fares/{index}"}
        for index in range(generation.ask.words.annotations if generation.visible else 0)
    ]


def function_call(generation: Generation, written: str) -> Item:
    """The call of a function of the caller, finished."""
    stem = generation.stem.decode()
    status = "incomplete" if generation.truncated else "completed"
    named = {"call_id": f"call_{stem}", "name": generation.ask.tool, "arguments": written}
    return {"id": f"fc_{stem}", "type": "function_call", "status": status, **named}


def _searches(stem: str, tools: Tools) -> Iterator[Item]:
    """The searches, and a page opened after them: that one is not billed, and `tool_usage` does not count it."""
    for index in range(tools.searches):
        action: dict[str, object] = {"type": "search", "query": "fares", "sources": None}
        yield {"id": f"ws_{stem}_{index}", "type": "web_search_call", "status": "completed", "action": action}
    if tools.searches:
        opened = {"type": "open_page", "url": "https://example.com/"}
        yield {"id": f"ws_{stem}_page", "type": "web_search_call", "status": "completed", "action": opened}


def _programs(stem: str, tools: Tools) -> Iterator[Item]:
    for index in range(tools.programs):
        container = tools.container_id or f"cntr_{stem}_{index % tools.containers}"
        program = {"container_id": container, "code": "print(2)", "outputs": None}
        yield {"id": f"ci_{stem}_{index}", "type": "code_interpreter_call", "status": "completed", **program}


def _picture(stem: str) -> Item:
    drawn = {
        "result": PICTURE,
        "revised_prompt": None,
        "output_format": "png",
        "quality": "low",
        "size": "1024x1024",
        "background": "opaque",
    }
    return {"id": f"ig_{stem}", "type": "image_generation_call", "status": "completed", "action": "generate", **drawn}


def _incomplete(generation: Generation) -> dict[str, str]:
    return {"reason": "max_output_tokens" if generation.truncated else "content_filter"}


def _usage(generation: Generation, output: int) -> bytes:
    """What is reported; empty when nothing is."""
    prompt, written = generation.ask.prompt, generation.cache_write
    long_written = written if generation.terms.cache_ttl == "12h" else 0
    usage = {
        "input_tokens": prompt,
        "input_tokens_details": {
            "cached_tokens": generation.cached,
            "cache_write_tokens": written,
            "cache_write_tokens_details": {"ttl_30m_tokens": written - long_written, "ttl_12h_tokens": long_written},
        },
        "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": min(generation.reasoning_total, output)},
        "total_tokens": prompt + output,
    }
    return spoil_usage(msgspec.json.encode(usage), generation.ask.words.usage, "input_tokens")
