"""The input of a call, of which its usage tells several parts that overlap, as parts that do not (providers.md §1.1, §1.2, Appendix B).

Which of the cached and the written tokens were text and which were media is not told. Text is taken for them first, then pictures, then
sound: that leaves the dearest of what the numbers allow at its full price, and nothing cheaper than they can mean.
"""

import msgspec

from farebox.usage import IN_AUDIO, IN_CACHE_READ, IN_CACHE_READ_AUDIO, IN_CACHE_READ_IMAGE, IN_IMAGE, IN_TEXT


class Parts(msgspec.Struct, frozen=True):
    """What of an input is read anew or from the cache, in units; and how much of it is charged as written to the cache."""

    units: tuple[tuple[str, int], ...]
    written: int


def disjoint(prompt: int, *, cached: int, written: int, audio: int, image: int) -> Parts:
    """The parts of a prompt that includes all of them. What is heard and written is charged as heard, which is dearer."""
    written = min(written, prompt - audio)
    text, image = _taken(prompt - audio - image, image, written)
    read = min(cached, text)
    shown = min(cached - read, image)
    heard = min(cached - read - shown, audio)
    units = (
        (IN_TEXT, text - read),
        (IN_CACHE_READ, read),
        (IN_AUDIO, audio - heard),
        (IN_IMAGE, image - shown),
        (IN_CACHE_READ_AUDIO, heard),
        (IN_CACHE_READ_IMAGE, shown),
    )
    return Parts(units, written)


def _taken(text: int, image: int, written: int) -> tuple[int, int]:
    """What is left of text and pictures."""
    return max(text - written, 0), image - max(written - text, 0)
