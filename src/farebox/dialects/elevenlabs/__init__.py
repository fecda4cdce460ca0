"""The ElevenLabs dialect: text to speech, whole and streamed, with timestamps and without."""

from farebox.dialects.elevenlabs.dialect import ElevenLabs

__all__ = ["ElevenLabs"]
