"""The quick reader of plain usage reports says what the careful one says, or leaves the report to it."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from farebox.dialects.openai import usage
from farebox.dialects.openai.hosts import OPENAI
from farebox.usage import IN_CACHE_WRITE_30M

_few = st.integers(-2, 40)
_details = st.fixed_dictionaries(
    {"cached_tokens": _few},
    optional={"cache_write_tokens": _few, "audio_tokens": st.integers(0, 1), "text_tokens": st.one_of(st.none(), _few), "new": _few},
)
_completion = st.fixed_dictionaries({"reasoning_tokens": _few}, optional={"audio_tokens": st.integers(0, 1), "new_tokens": _few})
_reports = st.fixed_dictionaries(
    {
        "prompt_tokens": _few,
        "completion_tokens": _few,
        "total_tokens": st.integers(-2, 80),
        "prompt_tokens_details": _details,
        "completion_tokens_details": _completion,
    },
    optional={"cost": st.just(0.5)},
)


@given(report=_reports, consistent=st.booleans())
def test_a_plain_report_reads_as_the_careful_reader_reads_it(report: dict[str, Any], consistent: bool) -> None:
    """Same units, same prompt, and nothing that the careful reader would flag or distrust."""
    if consistent:
        report["total_tokens"] = report["prompt_tokens"] + report["completion_tokens"]
    plain = usage._plain(json.dumps(report).encode(), IN_CACHE_WRITE_30M)
    if plain is None:
        return
    units, prompt, flags = usage._units(report, OPENAI, IN_CACHE_WRITE_30M)
    assert (units, prompt) == plain
    assert flags == []


def test_an_ordinary_report_is_plain() -> None:
    """What OpenAI sends on every text call takes the quick way."""
    report = {
        "prompt_tokens": 1000,
        "completion_tokens": 100,
        "total_tokens": 1100,
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
    }
    assert usage._plain(json.dumps(report).encode(), IN_CACHE_WRITE_30M) == (
        {"in_text_uncached": 100, "in_cache_read": 600, "in_cache_write_30m": 300, "out_text": 100},
        1000,
    )
