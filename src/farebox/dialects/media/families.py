"""Which way of counting pictures a model has: families as data, and a model's family from its name (providers.md §5.4).

A name that says nothing has the dearest family: it counts a picture every way there is and takes the most. Reading a picture's size is
`pixels`, adding it up is `image`.
"""

import re
from functools import lru_cache

import msgspec


class Patches(msgspec.Struct, frozen=True):
    """So many tokens as squares cover the picture, times a factor; a larger picture is made smaller first, or refused."""

    side: int
    most: int
    hundredths: int = 100

    def tokens(self, width: int, height: int, detail: str) -> int:
        del detail  # every setting of it costs at most the full size
        patches = -(-width // self.side) * -(-height // self.side)
        return self._times(min(patches, self.most))

    def full(self, detail: str) -> int:
        del detail
        return self._times(self.most)

    def _times(self, patches: int) -> int:
        return -(-patches * self.hundredths // 100)


class Tiles(msgspec.Struct, frozen=True):
    """A base and so much for each tile of 512 pixels, after the picture was made to fit 2,048 pixels and 768 on its short side."""

    base: int
    each: int
    most: int = 8
    extra: int = 0

    def tokens(self, width: int, height: int, detail: str) -> int:
        if detail == "low":
            return self.base + self.extra
        short, long = sorted((width, height))
        # A small picture is counted as if it were made larger: whether it is was not always the same.
        stretched = -(-max(long * 768, 1) // max(short, 1))
        tiles = 2 * -(-min(stretched, 2048) // 512)
        return self.base + self.each * min(tiles, self.most) + self.extra

    def full(self, detail: str) -> int:
        return self.base + self.extra + (0 if detail == "low" else self.each * self.most)


class Small(msgspec.Struct, frozen=True):
    """One price for what fits a small square, the full one for everything else: how the rest is cut into tiles is not told."""

    side: int
    small: int
    most: int

    def tokens(self, width: int, height: int, detail: str) -> int:
        del detail
        return self.small if max(width, height) <= self.side else self.most

    def full(self, detail: str) -> int:
        del detail
        return self.most


class Levels(msgspec.Struct, frozen=True):
    """The asked resolution decides, whatever the size."""

    by_detail: dict[str, int]
    most: int

    def tokens(self, width: int, height: int, detail: str) -> int:
        del width, height
        return self.full(detail)

    def full(self, detail: str) -> int:
        return self.by_detail.get(detail.lower().removeprefix("media_resolution_"), self.most)


Rule = Patches | Tiles | Small | Levels

_PATCHES_30K = Patches(32, 30_000, 250)
_PATCHES_10K = Patches(32, 10_000, 246)
_PATCHES_SMALL = Patches(32, 1_536, 246)
_TILES = Tiles(85, 170)
_TILES_MINI = Tiles(2833, 5667)
_CLAUDE_NEW = Patches(28, 4_784)
# Both published rules of the older models: squares of 28 pixels, and pixels / 750, where up to 1,640 were counted.
_CLAUDE_OLD = Patches(28, 1_562, 105)
_GEMINI_2 = Small(384, 258, 3_096)
_GEMINI_3 = Levels({"low": 280, "medium": 560, "high": 1120}, 2240)

DEAREST = "dearest"
FAMILIES: dict[str, tuple[Rule, ...]] = {
    "openai_patches_30k": (_PATCHES_30K,),
    "openai_patches_10k": (_PATCHES_10K,),
    "openai_patches_1536": (_PATCHES_SMALL,),
    "openai_tiles": (_TILES,),
    "openai_tiles_mini": (_TILES_MINI,),
    # Pictures that are edited: tiles, and up to 6,240 more where they are to be kept as they are.
    "openai_edits": (Tiles(85, 170, extra=6_240),),
    "claude_new": (_CLAUDE_NEW,),
    "claude_old": (_CLAUDE_OLD,),
    "gemini2": (_GEMINI_2,),
    "gemini3": (_GEMINI_3,),
    "gemini_any": (_GEMINI_2, _GEMINI_3),
    DEAREST: (_PATCHES_30K, _PATCHES_10K, _TILES, _TILES_MINI, _CLAUDE_NEW, _CLAUDE_OLD, _GEMINI_2, _GEMINI_3),
}

_END = r"(?:$|[-@:])"
# In order: the first that matches decides.
_MODELS = tuple(
    (re.compile(pattern), family)
    for pattern, family in (
        (r"gpt-4o-mini", "openai_tiles_mini"),
        (r"(?:gpt-4\.1|gpt-5(?:\.[1-5])?)(?:-codex)?-(?:mini|nano)" + _END, "openai_patches_1536"),
        (r"o4-mini" + _END, "openai_patches_1536"),
        (r"gpt-4o|chatgpt-4o|gpt-4\.[15]|gpt-4-(?:turbo|vision)", "openai_tiles"),
        (r"o[13]" + _END, "openai_tiles"),
        (r"gpt-5(?:\.1)?(?:$|@|-(?:20\d\d|chat|codex|pro))", "openai_tiles"),
        (r"gpt-5\.[45]" + _END, "openai_patches_10k"),
        (r"gpt-5\.6|gpt-6", "openai_patches_30k"),
        (r"gpt-image-1" + _END, "openai_edits"),
        (r"claude-(?:instant|v?[23]|(?:opus|sonnet|haiku)-4(?:[-.][0-6])?(?:$|[@:]|-(?:\d{8}|latest|v\d)))", "claude_old"),
        (r"claude-", "claude_new"),
        (r"gemini-[12]\.", "gemini2"),
        (r"gemini-[3-9]", "gemini3"),
        (r"gemini-", "gemini_any"),
    )
)


@lru_cache(maxsize=256)
def family_of(model: str) -> str:
    """The family of a model by the name it is sent as: with its maker before it, a region, a fine-tune's marks, or plain."""
    name = model.lower().removeprefix("ft:").rpartition("/")[2]
    maker, dot, rest = name.rpartition("anthropic.")
    if dot and not maker.strip("abcdefghijklmnopqrstuvwxyz-."):
        name = rest
    return next((family for pattern, family in _MODELS if pattern.match(name)), DEAREST)
