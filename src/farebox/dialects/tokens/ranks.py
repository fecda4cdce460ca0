"""Rank files that come with the package, checked against the hash that tiktoken names for them, so that nothing is fetched at run time."""

import base64
import gzip
import hashlib
from importlib import resources
from typing import TYPE_CHECKING

from farebox.errors import SettingsError

if TYPE_CHECKING:
    from tiktoken import Encoding


def load(name: str, *, sha256: str, pattern: str) -> "Encoding":
    """An encoding of its rank file. Without special tokens: nothing that a caller writes is anything but text."""
    from tiktoken import Encoding

    packed = resources.files(__package__).joinpath(f"{name}.tiktoken.gz").read_bytes()
    text = gzip.decompress(packed)
    if hashlib.sha256(text).hexdigest() != sha256:
        raise SettingsError(problem=f"the rank file {name} of this installation is damaged: install farebox again")
    ranks = {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in text.splitlines())}
    return Encoding(name, pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
