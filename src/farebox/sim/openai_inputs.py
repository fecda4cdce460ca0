"""Inputs that are text or arrays of tokens, one or many, as OpenAI's completions and embeddings take them. Pure."""

from collections.abc import Sequence

from .generation import BYTES_PER_TOKEN
from .reading import heed
from .words import NO_WORDS, Words

Inputs = str | list[str | int | list[int]]
One = str | list[int]


def inputs_of(given: Inputs) -> list[One]:
    """Each input alone: an array of numbers is one input, not many."""
    if isinstance(given, str):
        return [given]
    numbers = [each for each in given if isinstance(each, int)]
    if numbers and len(numbers) == len(given):
        return [numbers]
    return [each for each in given if not isinstance(each, int)]


def tokens_of(one: One) -> int:
    """A quarter of a text's bytes, rounded up; of an array, how many numbers it has."""
    return -(-len(one.encode("utf-8", "surrogatepass")) // BYTES_PER_TOKEN) if isinstance(one, str) else len(one)


def words_in(inputs: Sequence[One]) -> Words:
    """The words in the last input that is text."""
    said = next((one for one in reversed(inputs) if isinstance(one, str)), None)
    return NO_WORDS if said is None else heed(said)
