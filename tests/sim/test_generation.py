"""The token rule, and what a call generates."""

import json
from dataclasses import dataclass

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox.sim.anthropic_messages import AnthropicMessages
from farebox.sim.generation import PIECES_MAX, PLAIN, Ask, Generation, Model, Terms, argument_pieces, pieces, plan, text
from farebox.sim.openai_chat import OpenAIChat
from farebox.sim.wire import Request
from farebox.sim.words import Words

MODEL = Model(context_window=None, writes_cache=True, offers=frozenset({"flex"}))


@dataclass
class Asked:
    """A generation in short."""

    generation: Generation

    @property
    def shape(self) -> tuple[int, int, bool]:
        return self.generation.reasoning, self.generation.visible, self.generation.truncated


def asked(body: bytes) -> Request:
    """A request with nothing but a body."""
    return Request(b"POST", b"/", {}, body, keep_alive=True, takes_chunks=True, too_large=False)


def generate(
    words: Words, *, cap: int | None = None, choices: int = 1, prompt: int = 100, model: Model = MODEL, terms: Terms = PLAIN
) -> Generation:
    return plan(Ask(model="m", prompt=prompt, cap=cap, choices=choices, words=words, terms=terms), model, b"req_1", 0)


@pytest.mark.parametrize(
    ("words", "cap", "shape"),
    [
        (Words(output=10), None, (0, 10, False)),
        (Words(output=10), 10, (0, 10, False)),
        (Words(output=10), 9, (0, 9, True)),
        (Words(output=10, reasoning=5), 15, (5, 10, False)),
        (Words(output=10, reasoning=5), 12, (5, 7, True)),
        (Words(output=10, reasoning=50), 12, (12, 0, True)),
        (Words(output=10, reasoning=50, ignore_cap=1), 12, (50, 10, False)),
        (Words(output=0), 12, (0, 0, False)),
        (Words(), 3, (0, 3, True)),
        (Words(), None, (0, 5, False)),
        (Words(), 0, (0, 0, True)),
    ],
)
def test_reasoning_and_text_end_at_the_cap(words: Words, cap: int | None, shape: tuple[int, int, bool]) -> None:
    """Reasoning comes first and counts against the cap, unless the provider is asked to ignore it."""
    assert Asked(generate(words, cap=cap)).shape == shape


def test_cached_and_written_tokens_never_exceed_the_prompt() -> None:
    """What is read from the cache is not written to it."""
    generation = generate(Words(cached=70, cache_write=70), prompt=100)
    assert (generation.cached, generation.cache_write) == (70, 30)


def test_model_without_a_price_for_cache_writes_has_none() -> None:
    """Older models do not tell cache writes apart."""
    assert generate(Words(cache_write=70), model=Model(None, writes_cache=False, offers=frozenset())).cache_write == 0


def test_tier_that_the_model_does_not_have_is_served_as_default() -> None:
    """The answer names the tier that was used."""
    assert generate(Words(), terms=Terms(service_tier="flex")).terms.service_tier == "flex"
    assert generate(Words(), terms=Terms(service_tier="priority")).terms.service_tier == "default"


@given(st.integers(0, 9000), st.integers(1, 5), st.integers(0, 2000) | st.none())
def test_pieces_add_up_to_the_text(output: int, choices: int, cap: int | None) -> None:
    """Every token is visible as at least a byte, in exactly one piece, in few enough pieces."""
    generation = generate(Words(output=output), cap=cap, choices=choices)
    parts = list(pieces(generation))
    assert "".join(piece for piece, _ in parts) == text(generation)
    assert sum(tokens for _, tokens in parts) == generation.visible
    assert all(len(piece.encode()) >= tokens > 0 for piece, tokens in parts)
    assert len(parts) * choices <= max(PIECES_MAX, choices) + choices
    assert text(generation).count(" ") == generation.visible


@given(st.integers(0, 300), st.none() | st.integers(0, 300))
def test_tool_arguments_are_json_unless_the_cap_cut_them(output: int, cap: int | None) -> None:
    """The punctuation around the text costs no token."""
    generation = generate(Words(output=output), cap=cap)
    parts = list(argument_pieces(generation))
    assert sum(tokens for _, tokens in parts) == generation.visible
    written = "".join(piece for piece, _ in parts)
    if written and not generation.truncated:
        assert json.loads(written) == {"text": text(generation)}


contents = st.text(max_size=60) | st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": st.text(max_size=20)}), max_size=3)
messages = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant", "system"]), "content": contents}), min_size=1, max_size=5
)
tools = st.lists(
    st.fixed_dictionaries({"name": st.text(max_size=10), "function": st.fixed_dictionaries({"name": st.text(max_size=10)})}), max_size=4
)


@given(messages, tools, st.text(max_size=40), st.booleans())
def test_input_tokens_stay_under_the_byte_bound(said: list[object], offered: list[object], system: str, ascii_only: bool) -> None:
    """Input tokens are at most the body's bytes, 16 for each message and 64 for each tool: what a gateway may count on."""
    body = {"model": "m", "max_tokens": 9, "messages": said, "tools": offered, "system": system}
    written = json.dumps(body, ensure_ascii=ascii_only, separators=(",", ":")).encode()
    for dialect in (OpenAIChat(), AnthropicMessages()):
        prompt = dialect.read(asked(written)).prompt
        assert 0 < prompt <= len(written) + 16 * len(said) + 64 * len(offered)


def test_input_tokens_are_what_the_rule_says() -> None:
    """A quarter of the entries' bytes rounded up, 4 a message, 8 a tool, 3 a call."""
    message, tool = b'{"role":"user","content":"hello"}', b'{"type":"function"}'
    body = b'{"model":"m","messages":[%b, %b],"tools":[%b]}' % (message, message, tool)
    expected = -(-(2 * len(message) + len(tool)) // 4) + 2 * 4 + 8 + 3
    assert OpenAIChat().read(asked(body)).prompt == expected


def test_words_are_read_from_the_last_user_message_only() -> None:
    """Neither an earlier message nor the assistant's asks for anything; text parts do."""
    said = [
        {"role": "user", "content": "sim:output=1"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "sim:output=2"},
                {"type": "image_url", "image_url": {"url": "x"}},
                {"type": "text", "text": "sim:bill=b"},
            ],
        },
        {"role": "assistant", "content": "sim:output=3"},
    ]
    assert OpenAIChat().read(asked(msgspec.json.encode({"model": "m", "messages": said}))).words == Words(output=2, bill="b")
