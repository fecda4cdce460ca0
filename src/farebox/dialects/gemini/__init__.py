"""Google's Gemini API (providers.md §3): models generate, count and embed at a path of their own."""

from farebox.dialects.gemini.dialect import Gemini

__all__ = ["Gemini"]
