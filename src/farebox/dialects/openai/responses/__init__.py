"""OpenAI's responses: the parts of its request and its answers put together (providers.md §1.2)."""

from farebox.dialects.openai.responses.endpoint import Responses
from farebox.dialects.openai.responses.items import items_named
from farebox.dialects.openai.responses.request import sequence_of

__all__ = ["Responses", "items_named", "sequence_of"]
