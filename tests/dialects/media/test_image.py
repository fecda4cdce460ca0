"""What one picture can cost, by the ways of counting that are published (providers.md §5.4)."""

import base64
import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox.dialects.media.families import DEAREST, FAMILIES, family_of
from farebox.dialects.media.image import MARKERS, image_tokens_full, image_tokens_max


def picture(width: int, height: int) -> str:
    """A BMP: the shortest header."""
    return base64.b64encode(b"BM" + struct.pack("<IHHI", 100, 0, 0, 54) + struct.pack("<Iii", 40, width, height) + b"\0" * 40).decode()


def tokens(family: str, width: int, height: int, detail: str = "") -> int:
    """Without what stands around it."""
    return image_tokens_max(family, "image/bmp", picture(width, height), detail=detail) - MARKERS


@pytest.mark.parametrize(
    ("family", "full"),
    [
        ("openai_patches_30k", 75_000),
        ("openai_patches_10k", 24_600),
        ("openai_patches_1536", 3_779),
        ("openai_tiles", 1_445),
        ("openai_tiles_mini", 48_169),
        ("openai_edits", 7_685),
        ("claude_new", 4_784),
        ("claude_old", 1_641),
        ("gemini2", 3_096),
        ("gemini3", 2_240),
        ("gemini_any", 3_096),
        (DEAREST, 75_000),
        ("a family that does not exist", 75_000),
    ],
)
def test_a_picture_that_cannot_be_read_costs_the_most_of_its_family(family: str, full: int) -> None:
    """An address, a stored file, a type that is not known, no base64 and a picture larger than all."""
    assert image_tokens_full(family) == full + MARKERS
    assert image_tokens_max(family, "image/heic", "AAAA") == full + MARKERS
    assert image_tokens_max(family, "image/png", "no base64!") == full + MARKERS
    assert tokens(family, 60_000, 20_000) == full


@pytest.mark.parametrize(
    ("family", "size", "most"),
    [
        ("openai_patches_30k", (1024, 1024), 1024 * 5 // 2),
        ("openai_patches_30k", (1025, 1), 33 * 5 // 2 + 1),
        ("openai_patches_10k", (32, 32), 3),
        ("openai_patches_1536", (640, 480), 738),
        ("openai_tiles", (768, 768), 85 + 4 * 170),
        ("openai_tiles", (1024, 2048), 85 + 6 * 170),
        ("openai_tiles", (2048, 100), 85 + 8 * 170),
        ("openai_tiles_mini", (100, 100), 2833 + 4 * 5667),
        ("claude_new", (1000, 1000), 36 * 36),
        ("claude_old", (200, 200), 68),
        ("gemini2", (384, 384), 258),
        ("gemini2", (385, 1), 3_096),
        ("gemini3", (1, 1), 2_240),
        (DEAREST, (100, 100), 2833 + 4 * 5667),
    ],
)
def test_a_picture_that_can_be_read_costs_its_size(family: str, size: tuple[int, int], most: int) -> None:
    """Rounded up wherever something is rounded."""
    assert tokens(family, *size) == most


SIDES = st.integers(1, 20_000)


@given(SIDES, SIDES)
def test_tiles_are_never_fewer_than_the_published_rule_says(width: int, height: int) -> None:
    """Fit into 2,048, short side down to 768, tiles of 512; and the same with small pictures made larger."""
    scale = min(1, 2048 / max(width, height))
    inner = (width * scale, height * scale)
    for factor in (min(1, 768 / min(inner)), min(768 / min(inner), 2048 / max(inner))):
        tiles = math.prod(max(1, math.ceil(round(side * factor, 6) / 512)) for side in inner)
        assert tokens("openai_tiles", width, height) >= 85 + 170 * tiles


@given(SIDES, SIDES)
def test_older_claude_models_are_bounded_by_both_published_rules(width: int, height: int) -> None:
    """Squares of 28 pixels, and pixels by 750, up to what was measured."""
    bound = tokens("claude_old", width, height)
    assert bound >= min(math.ceil(width / 28) * math.ceil(height / 28), 1_568)
    assert bound >= min(math.ceil(width * height / 750), 1_640)


@given(SIDES, SIDES, st.sampled_from(["", "low", "high", "auto", "original", "MEDIA_RESOLUTION_LOW", "odd"]))
def test_the_dearest_family_is_no_cheaper_than_any(width: int, height: int, detail: str) -> None:
    """Whatever the model is."""
    dearest = tokens(DEAREST, width, height, detail)
    assert all(tokens(family, width, height, detail) <= dearest for family in FAMILIES if family != "openai_edits")
    assert all(tokens(family, width, height, detail) + MARKERS <= image_tokens_full(family, detail=detail) for family in FAMILIES)


@pytest.mark.parametrize(
    ("family", "detail", "most"),
    [
        ("openai_tiles", "low", 85),
        ("openai_tiles", "high", 1_445),
        ("openai_tiles_mini", "low", 2_833),
        ("gemini3", "MEDIA_RESOLUTION_LOW", 280),
        ("gemini3", "medium", 560),
        ("gemini3", "high", 1_120),
        ("gemini3", "MEDIA_RESOLUTION_ULTRA_HIGH", 2_240),
        ("gemini3", "MEDIA_RESOLUTION_UNSPECIFIED", 2_240),
        ("openai_patches_30k", "low", 75_000),
    ],
)
def test_a_lower_resolution_costs_less_where_that_is_published(family: str, detail: str, most: int) -> None:
    """And nothing less where it is not."""
    assert image_tokens_full(family, detail=detail) == most + MARKERS
    assert tokens(family, 27_000, 9_000, detail) == most


@pytest.mark.parametrize(
    ("family", "models"),
    [
        ("openai_tiles_mini", "gpt-4o-mini gpt-4o-mini-2024-07-18 ft:gpt-4o-mini-2024-07-18:org::id openai/gpt-4o-mini"),
        (
            "openai_tiles",
            "gpt-4o gpt-4.1 GPT-4o-2024-11-20 chatgpt-4o-latest gpt-4-turbo o1 o3-2025-04-16 gpt-5 gpt-5-2025-08-07 gpt-5.1-codex-max gpt-5-pro",
        ),
        ("openai_patches_1536", "gpt-4.1-mini gpt-4.1-nano-2025-04-14 gpt-5-mini gpt-5.4-nano gpt-5.1-codex-mini o4-mini"),
        ("openai_patches_10k", "gpt-5.4 gpt-5.5-pro gpt-5.5-2026-01-01"),
        ("openai_patches_30k", "gpt-5.6 gpt-5.6-mini gpt-6-sol gpt-6-luna openai/gpt-6-astra"),
        ("openai_edits", "gpt-image-1 gpt-image-1-mini"),
        (
            "claude_old",
            "claude-3-5-sonnet-20241022 claude-opus-4-20250514 claude-opus-4-1-20250805 claude-sonnet-4-5 claude-haiku-4-5-20251001",
        ),
        (
            "claude_old",
            "anthropic/claude-sonnet-4.6 us.anthropic.claude-sonnet-4-5-20250929-v1:0 anthropic.claude-3-haiku-20240307-v1:0 claude-sonnet-4@20250514",
        ),
        (
            "claude_new",
            "claude-opus-4-7 claude-opus-4-8-20260401 claude-opus-5-5 claude-fable-5-1 claude-opus-4-10 global.anthropic.claude-opus-5-5-v1:0",
        ),
        ("claude_new", "anthropic/claude-opus-4.7 arn:aws:bedrock:eu-west-1:1:inference-profile/eu.anthropic.claude-sonnet-5-v1:0"),
        ("gemini2", "gemini-2.5-pro gemini-1.5-flash models/gemini-2.0-flash google/gemini-2.5-flash"),
        ("gemini3", "gemini-3-pro-preview gemini-3.5-flash"),
        ("gemini_any", "gemini-flash-latest gemini-pro-vision"),
        (DEAREST, "gpt-5.2 gpt-image-2 grok-4 qwen-vl o5 gpt-7 my-deployment pixtral-large gemma-3-27b-it "),
    ],
)
def test_models_belong_to_the_family_of_their_generation(family: str, models: str) -> None:
    """However their name is spelled; a name that says nothing has the dearest."""
    assert {model: family_of(model) for model in models.split()} == dict.fromkeys(models.split(), family)
    assert family_of("") == DEAREST
