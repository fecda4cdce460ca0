"""The second, independent price list that our book is held against: litellm's table, as second_list.json.gz in tests/pricing has it.

Nothing of litellm is installed or imported. Prices are exact: the table's decimals, in pico-dollars.
"""

import gzip
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

from farebox import usage
from farebox.money import PICO_PER_USD

PATH = Path(__file__).parents[1] / "pricing" / "second_list.json.gz"
PROVIDERS = {
    "openai": "openai",
    "anthropic": "anthropic",
    "gemini": "google",
    "bedrock": "aws",
    "bedrock_converse": "aws",
    "mistral": "mistral",
    "xai": "x-ai",
    "groq": "groq",
    "perplexity": "perplexity",
    "elevenlabs": "elevenlabs",
    "azure": "azure",
    "text-completion-openai": "openai",
    "vertex_ai-anthropic_models": "google",
}
"""Our names of its providers."""
TIERS = {"default": "", "flex": "_flex", "priority": "_priority", "ultrafast": "_ultrafast"}
_COLUMNS = {
    usage.IN_TEXT: "input_cost_per_token",
    usage.OUT_TEXT: "output_cost_per_token",
    usage.IN_CACHE_READ: "cache_read_input_token_cost",
    usage.IN_CACHE_WRITE_1H: "cache_creation_input_token_cost_above_1hr",
    usage.IN_CACHE_WRITE_12H: "cache_creation_input_token_cost_above_12hr",
    usage.IN_AUDIO: "input_cost_per_audio_token",
    usage.OUT_AUDIO: "output_cost_per_audio_token",
    usage.IN_IMAGE: "input_cost_per_image_token",
    usage.OUT_IMAGE: "output_cost_per_image_token",
    usage.IN_VIDEO: "input_cost_per_video_token",
    usage.IN_CACHE_READ_AUDIO: "cache_read_input_audio_token_cost",
    usage.IN_CACHE_READ_IMAGE: "cache_read_input_image_token_cost",
}
_ABOVE = re.compile(r"_above_(\d+)k_tokens")


@dataclass(frozen=True, slots=True)
class Listed:
    """One row of the table."""

    key: str
    provider: str
    name: str
    """The key without its provider's prefix: what a request asks for."""
    columns: Mapping[str, Any]

    def tiers(self) -> tuple[str, ...]:
        """The service tiers that it has a price for."""
        return tuple(tier for tier, suffix in TIERS.items() if tier == "default" or f"input_cost_per_token{suffix}" in self.columns)

    def pico(self, unit: str, prompt: int, tier: str) -> Fraction | None:
        """The price of one of a unit, for a prompt of so many tokens, in a service tier. None: it names none.

        It is silent about a unit above a prompt size that it tells others apart by; and output at nothing is of a model that has none.
        """
        if unit not in usage.TOKEN_UNITS:
            return self._fee(unit) if tier == "default" else None
        column, suffix = self._column(unit), TIERS[tier]
        reached = {int(found[1]) for each in self.columns if (found := _ABOVE.search(each)) and prompt > int(found[1]) * 1000}
        value = self.columns.get(f"{column}{f'_above_{max(reached)}k_tokens' if reached else ''}{suffix}")
        if value is None or (Fraction(value) == 0 and unit in usage.OUTPUT_TOKEN_UNITS):
            return None
        return Fraction(value) * PICO_PER_USD

    def _column(self, unit: str) -> str:
        plain_write = usage.IN_CACHE_WRITE_30M if self.provider == "openai" else usage.IN_CACHE_WRITE_5M
        return "cache_creation_input_token_cost" if unit == plain_write else _COLUMNS.get(unit, "")

    def _fee(self, unit: str) -> Fraction | None:
        searches = usage.TOOL_GROUNDING if self.name.startswith("gemini-") else usage.TOOL_WEB_SEARCH
        if unit == searches and self.provider != "perplexity":
            value = self.columns.get("search_context_cost_per_query", {}).get("search_context_size_medium")
        elif unit in (usage.AUDIO_IN_MS, usage.IMAGES) and self.provider == "google":
            value = None  # what their tokens come to, again
        elif unit == usage.AUDIO_IN_MS:
            value = self.columns.get("input_cost_per_second")
        elif unit == usage.IMAGES:
            value = self.columns.get("input_cost_per_image")
        else:
            fees = {
                usage.TOOL_GROUNDING_MAPS: "google_maps_grounding_cost_per_query",
                usage.CHARS: "input_cost_per_character",
                usage.PAGES: "ocr_cost_per_page",
            }
            value = self.columns.get(fees.get(unit, ""))
        if value is None:
            return None
        return Fraction(value) * PICO_PER_USD / (1000 if unit == usage.AUDIO_IN_MS else 1)


@cache
def table() -> tuple[dict[str, str], tuple[Listed, ...]]:
    """Where the table is from, and its rows at our providers that stand for a name that a request can have."""
    whole = json.loads(gzip.decompress(PATH.read_bytes()))
    rows = []
    for key, columns in whole["models"].items():
        provider = columns["litellm_provider"]
        name = key.removeprefix(f"{provider.split('-')[0]}/")
        if "/" not in name or provider == "groq" or (provider == "perplexity" and name.startswith("perplexity/")):
            rows.append(Listed(key, PROVIDERS[provider], name, columns))
    return whole["origin"], tuple(rows)
