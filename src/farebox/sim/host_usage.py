"""How each host of OpenAI-compatible APIs reports what was used: one function for each true shape. Pure.

A shape gets the output so far: all of it, and the hidden part. Of the whole it is told with `Spent.final`: what a call costs is known then only.
"""

from collections.abc import Callable
from decimal import Decimal

import msgspec

from .generation import Generation
from .prices import PRICE_STEP_S, Billed, Shares, format_usd, shares

Usage = dict[str, object]


class Spent(msgspec.Struct, frozen=True, gc=False):
    """What a stream has used so far, or an answer in all."""

    generation: Generation
    provider: str
    output: int
    reasoning: int
    final: bool

    @property
    def prompt(self) -> int:
        """Input tokens."""
        return self.generation.ask.prompt

    def cost(self) -> Shares:
        """What the bill is going to say."""
        generation = self.generation
        return shares(
            Billed(
                provider=self.provider,
                model=generation.ask.model,
                terms=generation.terms,
                input=self.prompt,
                cached=generation.cached,
                cache_write=generation.cache_write,
                output=self.output,
                step=generation.created_s // PRICE_STEP_S,
                reasoning=self.reasoning,
                more=tuple(generation.units.items()),
                fees=tuple(generation.ask.fees.items()),
            )
        )


Shape = Callable[[Spent], Usage]


def whole(generation: Generation, provider: str) -> Spent:
    """Everything that a call uses."""
    return Spent(generation, provider, generation.output_total, generation.reasoning_total, final=True)


def plain(spent: Spent) -> Usage:
    """Three sums: Together, Ollama, and vLLM, which does not tell reasoning from the rest."""
    return {"prompt_tokens": spent.prompt, "completion_tokens": spent.output, "total_tokens": spent.prompt + spent.output}


def detailed(spent: Spent) -> Usage:
    """The sums with OpenAI's details: Cohere's compatible API."""
    details: Usage = {"prompt_tokens_details": _cached(spent), "completion_tokens_details": {"reasoning_tokens": spent.reasoning}}
    return plain(spent) | details


def deepseek(spent: Spent) -> Usage:
    """Two fields of its own beside OpenAI's: input from the cache and not from the cache."""
    cached = spent.generation.cached
    return detailed(spent) | {"prompt_cache_hit_tokens": cached, "prompt_cache_miss_tokens": spent.prompt - cached}


def mistral(spent: Spent) -> Usage:
    """The sums, seconds of sound, and what came from the cache."""
    return plain(spent) | {"prompt_audio_seconds": None, "prompt_tokens_details": _cached(spent)}


def xai(spent: Spent) -> Usage:
    """Reasoning is not in the completion, but in the total; and the exact charge in ticks."""
    usage: Usage = {
        "prompt_tokens": spent.prompt,
        "completion_tokens": spent.output - spent.reasoning,
        "total_tokens": spent.prompt + spent.output,
        "prompt_tokens_details": {"text_tokens": spent.prompt, "audio_tokens": 0, "image_tokens": 0, **_cached(spent)},
        "completion_tokens_details": {
            "reasoning_tokens": spent.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
        "num_sources_used": 0,
    }
    return usage | {"cost_in_usd_ticks": int(spent.cost().total * 10**10)} if spent.final else usage


def groq(spent: Spent) -> Usage:
    """The sums, and times that mean nothing."""
    times: Usage = {"queue_time": 0.01, "prompt_time": 0.002, "completion_time": 0.03, "total_time": 0.032}
    return detailed(spent) | times


def openrouter(spent: Spent) -> Usage:
    """OpenAI's with the cost in credits, which are dollars."""
    usage = detailed(spent) | {
        "prompt_tokens_details": {**_cached(spent), "cache_write_tokens": spent.generation.cache_write, "audio_tokens": 0}
    }
    if not spent.final:
        return usage
    cost = spent.cost()
    details = {
        "upstream_inference_cost": None,
        "upstream_inference_prompt_cost": number(cost.input),
        "upstream_inference_completions_cost": number(cost.output),
    }
    return usage | {"cost": number(cost.total), "is_byok": False, "cost_details": details}


def fireworks(spent: Spent) -> Usage:
    """The sums and what came from the cache."""
    return plain(spent) | {"prompt_tokens_details": _cached(spent)}


def perplexity(spent: Spent) -> Usage:
    """What is thought stands beside the completion and is in no sum; the cost is told with the last piece, its fee for the request apart."""
    said = spent.output - spent.reasoning
    usage: Usage = {
        "prompt_tokens": spent.prompt,
        "completion_tokens": said,
        "total_tokens": spent.prompt + said,
        "search_context_size": "high",  # the fee that genai-prices has is that of the most
    }
    if spent.reasoning:
        usage["reasoning_tokens"] = spent.reasoning
    if spent.generation.ask.words.queries:
        usage["num_search_queries"] = spent.generation.ask.words.queries
    if not spent.final:
        return usage
    cost = spent.cost()
    parts = {"input_tokens_cost": cost.input, "output_tokens_cost": cost.output, "request_cost": cost.beside, "total_cost": cost.total}
    return usage | {"cost": {name: number(usd) for name, usd in parts.items()}}


def gemini(spent: Spent) -> Usage:
    """Thoughts are not in the completion, but in the total, and nowhere by their name."""
    return plain(spent) | {"completion_tokens": spent.output - spent.reasoning, "prompt_tokens_details": _cached(spent)}


def number(usd: Decimal) -> msgspec.Raw:
    """Dollars as a number of JSON, exact."""
    return msgspec.Raw(format_usd(usd).encode())


def _cached(spent: Spent) -> dict[str, int]:
    return {"cached_tokens": spent.generation.cached}
