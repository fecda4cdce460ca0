"""What the simulated providers charge and genai-prices has no price for: the simulator's own list, each number with its source.

A fee is so many dollars each time, whatever the model. The models that only this list has are named here too.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

OWN_MODELS: Final[frozenset[tuple[str, str]]] = frozenset(
    {
        ("openai", "dall-e-2"),
        ("openai", "dall-e-3"),
        ("openai", "omni-moderation-latest"),
        ("elevenlabs", "eleven_v3"),
        ("elevenlabs", "eleven_multilingual_v2"),
        ("elevenlabs", "eleven_flash_v2_5"),
        ("elevenlabs", "eleven_turbo_v2_5"),
    }
)
"""Models that genai-prices does not have: their tokens are free, their fees are not."""

SELF_HOSTED: Final[frozenset[str]] = frozenset({"vllm", "ollama"})
"""Servers that their owner runs: they have every model, and charge for none."""

# OpenAI's public price list, platform.openai.com/docs/pricing, as the Farebox design brief and litellm's public list have it too.
_OPENAI: Final[Mapping[str, Decimal]] = {
    "web_search": Decimal("0.01"),  # 10 dollars per 1,000 calls
    "web_search_preview": Decimal("0.025"),  # 25 dollars per 1,000 calls, models that do not reason
    "file_search": Decimal("0.0025"),  # 2.50 dollars per 1,000 calls
    "container_1g": Decimal("0.03"),  # per container and session of 20 minutes
    "container_4g": Decimal("0.12"),
    "container_16g": Decimal("0.48"),
    "container_64g": Decimal("1.92"),
    "image:dall-e-2:standard:256x256": Decimal("0.016"),  # per image
    "image:dall-e-2:standard:512x512": Decimal("0.018"),
    "image:dall-e-2:standard:1024x1024": Decimal("0.02"),
    "image:dall-e-3:standard:1024x1024": Decimal("0.04"),
    "image:dall-e-3:standard:1024x1792": Decimal("0.08"),
    "image:dall-e-3:standard:1792x1024": Decimal("0.08"),
    "image:dall-e-3:hd:1024x1024": Decimal("0.08"),
    "image:dall-e-3:hd:1024x1792": Decimal("0.12"),
    "image:dall-e-3:hd:1792x1024": Decimal("0.12"),
}

# Anthropic's public price list: 10 dollars per 1,000 searches, those that fail not counted; fetching is free. Code execution is billed by the hour
# of its container, which no answer tells: free beside web search or web fetch, and for an organization's first 1,550 hours a month: nothing here.
_ANTHROPIC: Final[Mapping[str, Decimal]] = {"web_search": Decimal("0.01")}

# ElevenLabs' list as third parties quote it: 80 dollars per million credits; a character is one credit times its model's multiplier.
_ELEVENLABS: Final[Mapping[str, Decimal]] = {"credits": Decimal("0.00008")}

FEES: Final[Mapping[str, Mapping[str, Decimal]]] = {"openai": _OPENAI, "anthropic": _ANTHROPIC, "elevenlabs": _ELEVENLABS}
"""By the provider's name: dollars for one of each fee."""


_GEO: Final[Mapping[tuple[str, str], Decimal]] = {("anthropic", "us"): Decimal("1.1")}  # `inference_geo`: 1.1 times every token, no fee
_HERE: Final = Decimal(1)


def geo_factor(provider: str, geo: str) -> Decimal:
    """By how much tokens cost more where a call is served: genai-prices has one price for all places."""
    return _GEO.get((provider, geo), _HERE)


def fee_usd(provider: str, fee: str) -> Decimal:
    """Dollars for one of a fee. Raises KeyError on a fee that is not on the list: a simulator must not give away what it counts."""
    return FEES[provider][fee]
