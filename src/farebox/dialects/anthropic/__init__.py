"""Anthropic's API: messages, token counting and the listing of models."""

from farebox.dialects.anthropic.dialect import Anthropic

__all__ = ["Anthropic"]
