"""Contents, counted by the provider (providers.md §3.1). Its tokenizer is public for smaller models only."""

import json

from farebox.dialects.base import Ask
from farebox.dialects.counting.question import Question
from farebox.dialects.strict import read_object


class Contents:
    """`generateContent` and its stream."""

    def here(self, ask: Ask, body: bytes, model: str) -> int | None:  # noqa: ARG002 - of no model is it known
        """Not here."""
        return None

    def there(self, ask: Ask, body: bytes, model: str) -> Question | None:  # noqa: ARG002 - the body says it all
        """The whole request, as the counting endpoint takes it."""
        asked = {"generateContentRequest": {**read_object(body), "model": f"models/{model}"}}
        return Question(f"/v1beta/models/{model}:countTokens", json.dumps(asked).encode(), "totalTokens")
