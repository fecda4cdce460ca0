"""Messages, counted by the provider: the tokenizer of its models is not public (providers.md §2.4, §5.3)."""

import json

from farebox.dialects.base import Ask
from farebox.dialects.counting.question import Question
from farebox.dialects.strict import read_object

_COUNTED = (
    *("messages", "system", "tools", "tool_choice", "thinking", "cache_control", "context_management"),
    *("output_config", "output_format"),  # a schema is part of the prompt; the second is its older name
)
"""What of a request `count_tokens` takes, beside the model."""


class Messages:
    """`POST /v1/messages`."""

    def here(self, ask: Ask, body: bytes, model: str) -> int | None:  # noqa: ARG002 - of no model is it known
        """Not here."""
        return None

    def there(self, ask: Ask, body: bytes, model: str) -> Question | None:  # noqa: ARG002 - the body says it all
        """The request, without what concerns its answer."""
        members = read_object(body)
        counted = {"model": model} | {name: members[name] for name in _COUNTED if name in members}
        return Question("/v1/messages/count_tokens", json.dumps(counted).encode(), "input_tokens")
