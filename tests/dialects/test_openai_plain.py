"""The quick readers, of plain usage reports and of whole answers, say what the careful ones say, or leave it to them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox.dialects import OpenAI
from farebox.dialects.openai import answer, usage
from farebox.dialects.openai.hosts import OPENAI
from farebox.dialects.routes import match
from farebox.usage import Usage

ASK = OpenAI().ask(
    match("POST", "/openai/v1/chat/completions", []), b'{"model":"gpt-6-sol","messages":[{"role":"user","content":"x"}]}', {}
)
_few = st.integers(-2, 40)
_details = st.fixed_dictionaries(
    {},
    optional={
        "cached_tokens": _few,
        "cache_write_tokens": _few,
        "audio_tokens": st.integers(0, 1),
        "text_tokens": st.one_of(st.none(), _few),
        "new": _few,
    },
)
_completion = st.fixed_dictionaries(
    {}, optional={"reasoning_tokens": _few, "audio_tokens": st.integers(0, 1), "rejected_prediction_tokens": _few, "new_tokens": _few}
)
_reports = st.fixed_dictionaries(
    {"prompt_tokens": _few, "completion_tokens": st.one_of(_few, st.just(10**12 + 1)), "total_tokens": st.integers(-2, 80)},
    optional={
        "prompt_tokens_details": st.one_of(st.none(), _details),
        "completion_tokens_details": st.one_of(st.none(), _completion),
        "cost": st.just(0.5),
    },
)
_tiers = st.sampled_from(("", "auto", "default", "fast", "flex"))
_TEXTS = (b'"hi"', rb'"\ud83d\ude00"', rb'"\ud83d"', b'"\xff"', b"null", b"7")
"""Content as providers may send it: also what no strict reader takes."""
_USAGES = (
    b'{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}',
    b'{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9,"note":"\xff"}',
    rb'{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9,"note":"\ud83d"}',
    b'{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9,"n\xffte":1}',
    b'{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9,"prompt_tokens_details":{"n\xffte":1}}',
    b'{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9,"cost":1e999}',
    b'{"prompt_tokens":7,"completion_tokens":1.5}',
    b"null",
    b"[]",
    b'"none"',
)


def _consistent(report: dict[str, Any], *, consistent: bool) -> bytes:
    if consistent:
        report["total_tokens"] = report["prompt_tokens"] + report["completion_tokens"]
    return json.dumps(report).encode()


@given(report=_reports, tier=_tiers, consistent=st.booleans())
def test_a_plain_report_reads_as_the_careful_reader_reads_it(report: dict[str, Any], tier: str, consistent: bool) -> None:
    """Same units, same prompt, same conditions, and nothing that the careful reader would flag or distrust."""
    raw = _consistent(report, consistent=consistent)
    plain = usage.plain(raw, ASK, "gpt-6-sol", tier, OPENAI)
    assert plain in (None, usage.careful(raw, ASK, "gpt-6-sol", tier, OPENAI))


@given(report=st.one_of(_reports.map(lambda report: json.dumps(report).encode()), st.sampled_from(_USAGES)), text=st.sampled_from(_TEXTS))
def test_a_whole_answer_reads_as_one_read_again(report: bytes, text: bytes) -> None:
    """Whatever its usage and its text are: what cannot be read in either makes it the same answer, or the same failure."""
    for usages in (b"", b',"usage":' + report, b',"usage":null,"usage":' + report):
        body = b'{"id":"a","model":"gpt-6-sol","choices":[{"message":{"content":' + text + b'}},{"message":null}]' + usages + b"}"
        assert answer.read(ASK, body) == answer._read_again(ASK, body, OPENAI)


@pytest.mark.parametrize(
    "details",
    [
        {},
        {"prompt_tokens_details": None, "completion_tokens_details": None},
        {
            "prompt_tokens_details": {
                "cached_tokens": 600,
                "cache_write_tokens": 300,
                "audio_tokens": 0,
                "image_tokens": 0,
                "text_tokens": 1000,
            },
            "completion_tokens_details": {
                "reasoning_tokens": 40,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
                "text_tokens": 60,
            },
        },
    ],
)
def test_an_ordinary_report_is_plain(details: dict[str, Any]) -> None:
    """What OpenAI sends on every text call takes the quick way, and what hosts send that tell no details."""
    raw = json.dumps({"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100, **details}).encode()
    cached = {"in_text_uncached": 100, "in_cache_read": 600, "in_cache_write_30m": 300}
    units = cached if details.get("prompt_tokens_details") else {"in_text_uncached": 1000}
    assert usage.plain(raw, ASK, "gpt-6-sol", "", OPENAI) == Usage({**units, "out_text": 100}, 1000, "gpt-6-sol", raw=raw)
