"""How each API speaks: reads a request, bounds it, caps it, reads usage, says no in its own words.

Pure: no I/O, no prices, no ledger. One package per dialect; what they share lies beside them. Where a request wants to go is
`routes`, who sends it is `credentials`.
"""

from farebox.dialects.anthropic import Anthropic
from farebox.dialects.base import Dialect
from farebox.dialects.bedrock import Bedrock
from farebox.dialects.elevenlabs import ElevenLabs
from farebox.dialects.gemini import Gemini
from farebox.dialects.openai import OpenAI

__all__ = ["DIALECTS", "Anthropic", "Bedrock", "ElevenLabs", "Gemini", "OpenAI"]

DIALECTS: dict[str, Dialect] = {
    "openai": OpenAI(),
    "anthropic": Anthropic(),
    "gemini": Gemini(),
    "elevenlabs": ElevenLabs(),
    "bedrock": Bedrock(),
}
"""Every dialect, with the safe defaults. A provider that deviates gets an instance of its own."""
