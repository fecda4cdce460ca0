"""What a provider is asked, and what is made of its answer."""

from typing import Any

import msgspec

from farebox.dialects.tokens.counting import SAFETY_HUNDREDTHS, TOKENS_PER_REQUEST

TOKENS_MAX = 10**9
"""More than any request has: such an answer is not one."""


class Question(msgspec.Struct, frozen=True):
    """A POST to the provider, and the member of its answer that counts."""

    target: str
    body: bytes
    member: str

    def answer(self, body: bytes) -> int | None:
        """The most input tokens, by an answer to this; None where it is none. What providers count is an estimate: it gets a margin."""
        try:
            said: Any = msgspec.json.decode(body)
        except (msgspec.DecodeError, RecursionError):
            return None
        counted = said.get(self.member) if type(said) is dict else None
        if type(counted) is not int or not 0 < counted <= TOKENS_MAX:
            return None
        return -(-counted * SAFETY_HUNDREDTHS // 100) + TOKENS_PER_REQUEST
