"""How many tokens a picture is to OpenAI's models: each model's published way of counting. Reads headers only. Pure.

- **Tiles** (gpt-4o, gpt-4.1, gpt-4.5, o1, o3, gpt-5): a base, and so much for each tile of 512 pixels that the picture begins once it fits 2,048 pixels and
  its short side 768; with detail `low` the base alone.
- **Patches** of 32 pixels, times a factor: at most 1,536 (the minis and nanos up to gpt-5.5, o4-mini); at most 10,000, or 2,500 with detail `high`, or 256
  with `low` (gpt-5.4, gpt-5.5); as many as there are, up to 30,000 (every other model).

A picture whose size cannot be read, and one that is not in the request, is one of 2,048 by 2,048 pixels.
"""

import re

from .pictures import seen_size

PATCH = 32
TILE = 512
UNSEEN = (2048, 2048)
_PATCHES_MAX = 30_000
_TILES = (
    (re.compile(r"gpt-4o-mini"), 2833, 5667),
    (re.compile(r"(?:gpt-4o|chatgpt-4o|gpt-4-turbo|gpt-4\.5|gpt-4\.1)(?!-(?:mini|nano))"), 85, 170),
    (re.compile(r"o[13](?!-mini)\b"), 75, 150),
    (re.compile(r"gpt-5(?:\.1)?(?:-20\d\d.*|-chat.*|-codex|-pro)?$"), 70, 140),
)
_FEW = (
    (re.compile(r"o4-mini"), 172),
    (re.compile(r"gpt-(?:4\.1|5(?:\.[1-5])?)-mini"), 162),
    (re.compile(r"gpt-(?:4\.1|5(?:\.[1-5])?)-nano"), 246),
)
_MANY = re.compile(r"gpt-5\.[45]")
_BY_DETAIL = {"low": 256, "high": 2500}


def picture_tokens(model: str, base64: str, detail: str) -> int:
    """Of a picture in a request; of one that is not, the base64 is empty."""
    width, height = seen_size(base64) or UNSEEN
    for name, base, each in _TILES:
        if name.match(model):
            return base if detail == "low" else base + each * _tiles(width, height)
    patches = -(-width // PATCH) * -(-height // PATCH)
    for name, hundredths in _FEW:
        if name.match(model):
            return -(-min(patches, 1536) * hundredths // 100)
    return min(patches, _BY_DETAIL.get(detail, 10_000) if _MANY.match(model) else _PATCHES_MAX)


def _tiles(width: int, height: int) -> int:
    long = max(width, height)
    if long > 2048:  # noqa: PLR2004  # made to fit
        width, height = max(1, width * 2048 // long), max(1, height * 2048 // long)
    short = min(width, height)
    if short > 768:  # noqa: PLR2004  # and once more
        width, height = width * 768 // short, height * 768 // short
    return -(-width // TILE) * -(-height // TILE)
