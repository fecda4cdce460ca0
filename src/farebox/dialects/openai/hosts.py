"""What is particular about the hosts that speak OpenAI's API (providers.md §4): pure data, by the provider's name.

Owns in which words a host takes an output cap, and how it tells its usage. Does not own where a host is (`providers/catalogue.py`), nor prices.
"""

from typing import Literal

import msgspec

from farebox.dialects.media.asked import Rules

Reasoning = Literal["inside", "beside", "apart"]


class Host(msgspec.Struct, frozen=True):
    """One host. The defaults are those of a host of which nothing is known."""

    both_caps: bool = False
    """Whether it knows both names of the output cap. One that knows a single name may ignore the other, and generate without a cap."""
    tells_usage: bool = False
    """Whether its streams have their usage unasked. Then nothing is asked for, and nothing is taken out."""
    reasoning: Reasoning = "inside"
    """Where reasoning is counted: in the completion; beside it, but in the total; or apart from both, at prices of its own."""
    searches: bool = False
    """Whether its models search the web by themselves, for a fee by how much they search."""
    media: Rules = ""
    """Whose way of counting pictures and recordings it has. Where nobody told, only the context window bounds them."""
    keeps_items: bool = False
    """Whether items of a response can be named by ids that nobody guesses. Elsewhere such ids may be anybody's, and mean nothing."""
    recording_ms_min: int = 0
    """What it bills of a shorter recording that is transcribed."""


OPENAI = Host(both_caps=True, media="openai", keeps_items=True)
UNKNOWN = Host()
AT_ITS_PRICES = Host(keeps_items=True)
"""By the prices of OpenAI a host may be OpenAI under another name, with what it keeps for all of these names. Whether it is the same in all else, nobody
said.
"""
HOSTS = {
    "deepseek": Host(),
    "mistral": Host(tells_usage=True),
    "xai": Host(both_caps=True, tells_usage=True, reasoning="beside"),
    "groq": Host(both_caps=True, recording_ms_min=10_000),
    "openrouter": Host(both_caps=True, tells_usage=True),
    "together": Host(),
    "fireworks": Host(both_caps=True, tells_usage=True),
    "perplexity": Host(tells_usage=True, reasoning="apart", searches=True),
    "cohere": Host(),
    "vllm": Host(both_caps=True),
    "ollama": Host(),
    "gemini-openai": Host(both_caps=True, reasoning="beside", media="gemini"),
    "azure": OPENAI,
}


def host_of(name: str, prices: str) -> Host:
    """The host of a provider: by its own name, else by whose prices it has (a second account at the same one)."""
    return HOSTS.get(name) or (AT_ITS_PRICES if prices == "openai" else HOSTS.get(prices, UNKNOWN))
