"""The content of Anthropic's answers: thinking, text, calls of tools, and what tools on the provider's side were asked and brought back. Pure."""

from collections.abc import Iterator

import msgspec

from .anthropic_asked import Extras
from .dialect import Frame
from .generation import Generation, argument_pieces, arguments, pieces, text, thoughts

SIGNATURE = b"c2ltdWxhdGVkIHNpZ25hdHVyZQ=="
_START = b'event: content_block_start\ndata: {"type":"content_block_start","index":%d,"content_block":%b}\n\n'
_DELTA = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":"%b","%b":'
_STOP = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n'
_PING = b'event: ping\ndata: {"type":"ping"}\n\n'
_TEXT_BLOCK = b'{"type":"text","text":""}'
_OLD_PROGRAMS = "code_execution_20250522"
_encode = msgspec.json.encode


def content(generation: Generation) -> bytes:
    """Every block, joined."""
    blocks = [_encode(block) for block in _server_blocks(generation)]
    if _thinks(generation):
        blocks.append(b'{"type":"thinking","thinking":%b,"signature":"%b"}' % (_encode("".join(thoughts(generation))), SIGNATURE))
    if generation.ask.tool is not None:
        written = arguments(generation)
        blocks.append(_tool_use(generation, b"{}" if generation.truncated or not written else written.encode()))
    elif generation.visible:
        blocks.append(b'{"type":"text","text":%b}' % _encode(text(generation)))
    return b",".join(blocks)


def block_frames(generation: Generation) -> Iterator[Frame]:
    """Every block, as events."""
    index = 0
    for block in _server_blocks(generation):
        yield _START % (index, _encode(block)), 0
        yield _STOP % index, 0
        index += 1
    hidden = generation.reasoning
    if _thinks(generation):
        yield from _thinking_frames(generation, index)
        index, hidden = index + 1, 0
    if _says_nothing(generation):
        return
    yield _START % (index, _TEXT_BLOCK if generation.ask.tool is None else _tool_use(generation, b"{}")), 0
    yield _PING, 0
    yield from _piece_frames(generation, index, hidden)
    yield _STOP % index, 0


def _says_nothing(generation: Generation) -> bool:
    """A refusal before the first token has no block at all."""
    extras = generation.ask.detail
    return isinstance(extras, Extras) and extras.refuses and not generation.visible


def _thinks(generation: Generation) -> bool:
    extras = generation.ask.detail
    return isinstance(extras, Extras) and extras.thinks and generation.reasoning > 0


def _thinking_frames(generation: Generation, index: int) -> Iterator[Frame]:
    yield _START % (index, b'{"type":"thinking","thinking":"","signature":""}'), 0
    before = _DELTA % (index, b"thinking_delta", b"thinking")
    for thought in thoughts(generation):
        yield before + _encode(thought) + b"}}\n\n", thought.count(" ")
    yield _DELTA % (index, b"signature_delta", b"signature") + b'"%b"}}\n\n' % SIGNATURE, 0
    yield _STOP % index, 0


def _piece_frames(generation: Generation, index: int, hidden: int) -> Iterator[Frame]:
    """The pieces. Reasoning that is not shown counts with the first one."""
    kind, member, written = (
        (b"text_delta", b"text", pieces(generation))
        if generation.ask.tool is None
        else (b"input_json_delta", b"partial_json", argument_pieces(generation))
    )
    before = _DELTA % (index, kind, member)
    for piece, tokens in written:
        yield before + _encode(piece) + b"}}\n\n", tokens + hidden
        hidden = 0


def _tool_use(generation: Generation, given: bytes) -> bytes:
    return b'{"type":"tool_use","id":"toolu_%b","name":%b,"input":%b}' % (generation.stem, _encode(generation.ask.tool), given)


def _server_blocks(generation: Generation) -> Iterator[dict[str, object]]:
    """Hand-overs between models, and tools on the provider's side with what they brought back. They arrive whole."""
    extras = generation.ask.detail
    if not isinstance(extras, Extras):
        return
    if extras.requested != generation.ask.model:
        trigger = {"type": "refusal", "category": None}
        yield {"type": "fallback", "from": {"model": extras.requested}, "to": {"model": generation.ask.model}, "trigger": trigger}
    if "compaction" in extras.runs:
        yield {"type": "compaction", "content": "What was said so far, in short."}
    stem = generation.stem.decode()
    for count, (name, asked, kind, brought) in enumerate(_server_tools(extras)):
        tool_use_id = f"srvtoolu_{stem}{count}"
        yield {"type": "server_tool_use", "id": tool_use_id, "name": name, "input": asked}
        yield {"type": kind, "tool_use_id": tool_use_id, "content": brought}


def _server_tools(extras: Extras) -> Iterator[tuple[str, dict[str, str], str, object]]:
    found = {
        "type": "web_search_result",
        "url": "https://example.com/fares",
        "title": "Fares",
        "encrypted_content": "c2lt",
        "page_age": None,
    }
    failed = {"type": "web_search_tool_result_error", "error_code": "unavailable"}
    for brought in [[found]] * extras.searches + [failed] * extras.failed_searches:
        yield "web_search", {"query": "fares"}, "web_search_tool_result", brought
    source = {"type": "text", "media_type": "text/plain", "data": "Fares are posted at the gate."}
    page = {"type": "document", "source": source, "title": "Fares", "citations": None}
    fetched = {"type": "web_fetch_result", "url": "https://example.com/fares", "content": page, "retrieved_at": "2026-11-21T00:00:00Z"}
    for _ in range(extras.pages):
        yield "web_fetch", {"url": "https://example.com/fares"}, "web_fetch_tool_result", fetched
    kind = "code_execution" if extras.program_tool == _OLD_PROGRAMS else "bash_code_execution"
    ran = {"type": f"{kind}_result", "stdout": "42\n", "stderr": "", "return_code": 0, "content": []}
    for _ in range(extras.programs):
        yield kind, {"code" if kind == "code_execution" else "command": "print(42)"}, f"{kind}_tool_result", ran
    if "advisor_message" in extras.runs:
        yield "advisor", {}, "advisor_tool_result", {"type": "advisor_result", "text": "Mind the gap.", "stop_reason": "end_turn"}
