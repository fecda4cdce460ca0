"""Which encoding a model's text is counted with, where that is public and certain."""

from functools import lru_cache
from typing import Literal

EncodingName = Literal["o200k_base", "cl100k_base"]

_BY_PREFIX: tuple[tuple[str, EncodingName], ...] = (
    *((prefix, "o200k_base") for prefix in ("gpt-4o", "chatgpt-4o", "gpt-4.1", "gpt-4.5", "gpt-5", "gpt-oss-")),
    *((prefix, "cl100k_base") for prefix in ("gpt-4-", "gpt-3.5", "gpt-35-turbo", "text-embedding-3-", "text-embedding-ada-002")),
    *((prefix, "o200k_base") for prefix in ("o1-", "o3-", "o4-mini-")),
    *((prefix, "cl100k_base") for prefix in ("davinci-002", "babbage-002")),
)
_BY_NAME: dict[str, EncodingName] = {"gpt-4": "cl100k_base", "o1": "o200k_base", "o3": "o200k_base", "o4-mini": "o200k_base"}
_MAKERS = ("", "openai")


@lru_cache(maxsize=256)
def encoding_of(model: str) -> EncodingName | None:
    """The encoding's name; None for models of other makers, and for newer ones of which it is not known."""
    maker, _, name = model.removeprefix("ft:").rpartition("/")
    if maker not in _MAKERS:
        return None
    name = name.partition(":")[0]
    return _BY_NAME.get(name) or next((encoding for prefix, encoding in _BY_PREFIX if name.startswith(prefix)), None)


def exact_for(model: str) -> bool:
    """Whether counting here gives the tokens that the provider counts of a text."""
    return encoding_of(model) is not None
