"""OpenAI's API, and everything that speaks like it: chat completions and the listing of models."""

from farebox.dialects.openai.dialect import OpenAI

__all__ = ["OpenAI"]
