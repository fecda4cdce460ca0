"""Requests that are as they should be, several for each route: what mutations begin with, and what the simulator is asked for answers.

Owns the requests. Between them they have every kind of part, tool and option that their readers look at.
"""

import json
from typing import Any

import msgspec

from support import media

_FORM = b"multipart/form-data; boundary=xyz"
_PNG = media.picture("image/png", 640, 480)
_WAV = media.wav(300, rate=4000)
_PDF = media.pdf(2)
_TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
_SCHEMA = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}}


class Example(msgspec.Struct, frozen=True):
    """One request; `query` where its path says how the answer is to be written."""

    body: bytes
    content_type: bytes = b"application/json"
    query: bytes = b""
    model: str = ""
    """Where the path names another model than that of the other examples."""

    @property
    def headers(self) -> dict[bytes, bytes]:
        """What its reader gets of the head."""
        return {b"content-type": self.content_type}


def _json(**members: Any) -> Example:
    return Example(json.dumps(members).encode())


def _form(*files: tuple[str, bytes], **texts: str) -> Example:
    """Files first, as a client sends them."""
    parts = [b'Content-Disposition: form-data; name="%b"; filename="a"\r\n\r\n%b' % (name.encode(), data) for name, data in files]
    parts += [b'Content-Disposition: form-data; name="%b"\r\n\r\n%b' % (name.encode(), text.encode()) for name, text in texts.items()]
    return Example(b"".join(b"--xyz\r\n%b\r\n" % part for part in parts) + b"--xyz--\r\n", _FORM)


def _chat(model: str, words: str = "", **more: Any) -> Example:
    return _json(**{"model": model, "messages": [{"role": "user", "content": f"hi {words}"}], **more})


def _chats(model: str, *, caps: tuple[str, ...] = ("max_tokens",)) -> list[Example]:
    """What every host of the dialect is asked."""
    usage = {"stream": True, "stream_options": {"include_usage": True}}
    return [
        _chat(model, "sim:output=8 sim:reasoning=5 sim:cached=3"),
        _chat(model, "sim:output=6", stream=True),
        *[_chat(model, "sim:output=9", **usage, **{cap: 30}) for cap in caps],
        _chat(model, "sim:tool=1", tools=[_TOOL], stream=True),
        _chat(model, "sim:fail=2", stream=True),
    ]


_TALK = [
    {"role": "system", "content": "é\n"},
    {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
    {"role": "tool", "tool_call_id": "c", "content": "done"},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "hi sim:output=4", "prompt_cache_breakpoint": {"ttl": "1h"}},
            {"type": "image_url", "image_url": {"url": media.data_url("image/png", _PNG), "detail": "low"}},
            {"type": "input_audio", "input_audio": {"data": media.text(_WAV), "format": "wav"}},
            {"type": "file", "file": {"filename": "a.pdf", "file_data": media.data_url("application/pdf", _PDF)}},
        ],
    },
]
_CHAT = [
    *_chats("gpt-4o", caps=("max_tokens", "max_completion_tokens")),
    _json(model="gpt-4o", messages=_TALK, prediction={"type": "content", "content": "hello"}, service_tier="flex", max_tokens=9),
    _chat("gpt-4o", "sim:usage=missing", response_format=_SCHEMA, reasoning_effort="low", prompt_cache_options={"ttl": "30m"}),
    _chat("gpt-4o", "sim:usage=negative", n=2, stream=True, stream_options={"include_obfuscation": False}),
]
_HOSTED = {
    "deepseek": "deepseek-chat",
    "mistral": "mistral-large-latest",
    "xai": "grok-4",
    "groq": "openai/gpt-oss-120b",
    "openrouter": "openai/gpt-4o",
    "together": "openai/gpt-oss-120b",
    "fireworks": "accounts/fireworks/models/gpt-oss-120b",
    "perplexity": "sonar-pro",
    "cohere": "command-a-03-2025",
    "vllm": "any",
    "ollama": "any",
    "gemini-openai": "gemini-2.5-flash",
    "azure": "gpt-4o",
}
_SEARCHES = {"web_search_options": {"search_context_size": "low"}}
_INPUT = [
    {
        "role": "user",
        "content": [{"type": "input_text", "text": "hi sim:output=6"}, {"type": "input_image", "image_url": "https://a.b/c.png"}],
    },
    {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c", "output": "done"},
    {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "abc"},
]
_TOOLS = [
    {"type": "function", "name": "f", "parameters": {"type": "object"}},
    {"type": "web_search"},
    {"type": "file_search", "vector_store_ids": ["vs_1"]},
    {"type": "code_interpreter", "container": {"type": "auto", "memory_limit": "4g"}},
]
_SERVED = "hi sim:output=6 sim:reasoning=4 sim:cached=2"
_RESPONSES = [
    _json(model="gpt-5.4", input=_SERVED),
    _json(model="gpt-5.4", input=_SERVED, stream=True, max_output_tokens=50, service_tier="priority"),
    _json(model="gpt-5.4", input=_INPUT, instructions="é", tools=_TOOLS[:1], store=False, prompt_cache_options={"ttl": "30m"}),
    _json(model="gpt-5.4", input="hi sim:web_search=1", tools=_TOOLS[1:2], max_tool_calls=2, max_output_tokens=64, stream=True),
    _json(model="gpt-5.4", input="hi sim:containers=1", tools=_TOOLS[3:], max_tool_calls=1, max_output_tokens=64),
    _json(model="gpt-5.4", input="hi", background=True, store=True),
    _json(model="gpt-5.4", input=[{"type": "item_reference", "id": "msg_1"}, {"id": "rs_1"}, {"type": "reasoning", "id": "rs_2"}]),
    _json(model="gpt-5.4", input="hi", background=True, stream=True),
    _json(model="gpt-5.4", input="hi sim:end=incomplete", stream=True),
    _json(model="gpt-5.4", input="hi sim:end=failed", stream=True),
    _json(model="gpt-5.4", input="hi sim:end=error", stream=True),
    _json(model="gpt-5.4", input="more", previous_response_id="resp_1", conversation=None),
    _json(model="gpt-5.4", input="more", conversation={"id": "conv_1"}),
]
_SAID = {"role": "user", "content": "hi sim:output=7 sim:cached=3 sim:cache_write=2"}
_BLOCKS = [
    {"type": "text", "text": "hi sim:output=5", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": media.text(_PNG)}},
    {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": media.text(_PDF)}},
    {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "done"}]},
]
_SERVER_TOOLS = [
    {"type": "web_search_20250305", "name": "web_search", "max_uses": 2},
    {"name": "f", "input_schema": {"type": "object"}, "cache_control": {"type": "ephemeral"}},
]
_CLAUDE: dict[str, Any] = {"model": "claude-sonnet-5-5", "max_tokens": 2000}
_MESSAGES = [
    _json(**_CLAUDE, messages=[_SAID]),
    _json(**_CLAUDE, messages=[_SAID], stream=True),
    _json(**_CLAUDE, messages=[{"role": "user", "content": _BLOCKS}], system=[{"type": "text", "text": "é"}], service_tier="standard_only"),
    _json(**_CLAUDE, messages=[_SAID], thinking={"type": "enabled", "budget_tokens": 1024}, stream=True, speed="standard"),
    _json(**_CLAUDE, messages=[{"role": "user", "content": "hi sim:web_search=1"}], tools=_SERVER_TOOLS, stream=True),
    _json(**_CLAUDE, messages=[{"role": "user", "content": "hi sim:deltas=3 sim:iterations=message-compaction"}], stream=True),
    _json(**_CLAUDE, messages=[{"role": "user", "content": "hi sim:fail=2"}], stream=True),
    _json(**_CLAUDE, messages=[{"role": "user", "content": "hi sim:refusal=3"}], inference_geo="us"),
    _json(**_CLAUDE, messages=[{"role": "user", "content": "hi sim:tool=1"}], tools=_SERVER_TOOLS[1:], stream=True),
]
_PARTS = [
    {"text": "hi sim:output=6 sim:reasoning=4 sim:cached=2"},
    {"inlineData": {"mimeType": "image/png", "data": media.text(_PNG)}},
    {"inline_data": {"mime_type": "audio/wav", "data": media.text(_WAV)}},
]
_CONTENTS = [{"role": "user", "parts": _PARTS[:1]}]
_CONFIG = {"maxOutputTokens": 200, "candidateCount": 2, "thinkingConfig": {"thinkingBudget": 20}}
_GENERATE = [
    _json(contents=_CONTENTS),
    _json(contents=[{"role": "user", "parts": _PARTS}], generationConfig=_CONFIG, serviceTier="flex"),
    _json(contents=_CONTENTS, generation_config={"max_output_tokens": 40}, system_instruction={"parts": [{"text": "é"}]}),
    _json(contents=[{"parts": [{"text": "hi sim:queries=2 sim:tool_use=9"}]}], tools=[{"googleSearch": {}}]),
    _json(contents=[{"parts": [{"text": "hi sim:tool=1"}]}], tools=[{"functionDeclarations": [{"name": "f"}]}]),
    _json(contents=[{"parts": [{"text": "hi sim:block=1"}]}]),
    _json(contents=[{"parts": [{"text": "hi sim:fail=1"}]}], model="models/gemini-2.5-flash", generationConfig=None),
]
_EVENTS = [msgspec.structs.replace(example, query=b"alt=sse") for example in _GENERATE]
_EMBEDDED = {"content": {"parts": [{"text": "hi"}]}}
_CONVERSED = {"messages": [{"role": "user", "content": [{"text": "hi sim:output=6 sim:cached=2 sim:cache_write=3"}]}]}
_SPEC = {"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object"}}}}
_DOCUMENT = [
    {"text": "hi sim:output=4"},
    {"image": {"format": "png", "source": {"bytes": media.text(_PNG)}}},
    {"document": {"format": "pdf", "name": "a", "source": {"bytes": media.text(_PDF)}}},
    {"cachePoint": {"type": "default"}},
]
_CONVERSE = [
    _json(**_CONVERSED),
    _json(**_CONVERSED, inferenceConfig={"maxTokens": 99, "temperature": 1}, serviceTier={"type": "flex"}, system=[{"text": "é"}]),
    _json(messages=[{"role": "user", "content": _DOCUMENT}], performanceConfig={"latency": "optimized"}),
    _json(
        **_CONVERSED, toolConfig={"tools": [_SPEC]}, additionalModelRequestFields={"thinking": {"type": "enabled", "budget_tokens": 1024}}
    ),
    _json(messages=[{"role": "user", "content": [{"text": "hi sim:tool=1"}]}], toolConfig={"tools": [_SPEC]}, inferenceConfig={}),
    _json(messages=[{"role": "user", "content": [{"text": "hi sim:fail=2"}]}], inferenceConfig=None),
]
_SPEECH = [
    _json(text="hi there", model_id="eleven_multilingual_v2", voice_settings={"stability": 0.5}, seed=1),
    _json(text="hi é \U0001f600"),
    _json(text="hi", model_id="eleven_flash_v2_5", language_code="en", previous_text="before"),
]
_PICTURED = [
    _form(("image", _PNG), model="gpt-image-1.5", prompt="hi", n="2", size="1024x1024", quality="low"),
    _form(("image[]", _PNG), ("image[]", _PNG), ("mask", _PNG), model="gpt-image-1.5", prompt="hi", stream="true", partial_images="2"),
    _form(("image", _PNG), model="dall-e-2", prompt="hi", size="512x512"),
]
_RECORDED = [
    _form(("file", _WAV), model="gpt-4o-transcribe", prompt="hi", response_format="json"),
    _form(("file", _WAV), model="gpt-4o-transcribe", prompt="hi there", stream="true"),
    _form(("file", _WAV), model="whisper-1", prompt="hi", response_format="srt"),
    _form(("file", media.mp3(500)), model="gpt-transcribe", prompt="hi", response_format="text"),
    _form(("file", _WAV), model="gpt-4o-transcribe-diarize", prompt="hi", response_format="diarized_json", chunking_strategy="auto"),
]
EXAMPLES: dict[str, list[Example]] = {
    "openai.chat_completions": _CHAT,
    **{f"openai.chat_completions@{host}": _chats(model) for host, model in _HOSTED.items()},
    "openai.responses": _RESPONSES,
    "openai.embeddings": [
        _json(model="text-embedding-3-small", input="hi", dimensions=4),
        _json(model="text-embedding-3-small", input=["hi", "é"], encoding_format="base64", dimensions=8),
        _json(model="text-embedding-3-large", input=[[1, 2, 3], [4]], dimensions=2, user="u"),
    ],
    "openai.completions": [
        _json(model="gpt-3.5-turbo-instruct", prompt="hi sim:output=6", best_of=3, n=2),
        _json(model="gpt-3.5-turbo-instruct", prompt=["hi", "ho"], max_tokens=9, stream=True),
        _json(model="davinci-002", prompt=[1, 2, 3], stream=True, stream_options={"include_usage": True}, echo=True),
        _json(model="babbage-002"),
    ],
    "openai.speech": [
        _json(model="tts-1", input="hi é", voice="alloy", response_format="opus"),
        _json(model="gpt-4o-mini-tts", input="hi", voice="alloy", instructions="fast", speed=0.5),
        _json(model="gpt-4o-mini-tts", input="hi", voice="alloy", stream_format="sse", response_format="wav"),
    ],
    "openai.transcriptions": _RECORDED,
    "openai.translations": [
        _form(("file", _WAV), model="whisper-1", prompt="hi", response_format="vtt"),
        _form(("file", _WAV), model="whisper-1", prompt="hi"),
    ],
    "openai.image_generations": [
        _json(model="gpt-image-1.5", prompt="hi", n=2, size="1024x1536", quality="medium"),
        _json(model="gpt-image-1.5", prompt="hi", stream=True, partial_images=2, output_format="webp"),
        _json(model="dall-e-3", prompt="hi", size="1792x1024", quality="hd"),
    ],
    "openai.image_edits": _PICTURED,
    "openai.moderations": [_json(input="hi"), _json(model="omni-moderation-latest", input=["a", "b"])],
    "openai.input_tokens": [_json(model="gpt-5.4", input="hi"), _json(input="hi", previous_response_id="resp_1")],
    "openai.response": [Example(b"")],
    "anthropic.messages": _MESSAGES,
    "anthropic.count_tokens": [
        _json(model="claude-sonnet-5-5", messages=[_SAID]),
        _json(model="claude-sonnet-5-5", messages=[{"role": "user", "content": _BLOCKS}], tools=_SERVER_TOOLS),
    ],
    "gemini.generate_content": _GENERATE,
    "gemini.stream_generate_content": [*_GENERATE, *_EVENTS],
    "gemini.embed_content": [
        Example(json.dumps({**_EMBEDDED, "outputDimensionality": 4}).encode(), model="gemini-embedding-001"),
        _json(**_EMBEDDED, model="models/gemini-2.5-flash", taskType="RETRIEVAL_QUERY", output_dimensionality=8),
    ],
    "gemini.batch_embed_contents": [
        Example(json.dumps({"requests": [{**_EMBEDDED, "outputDimensionality": 4}] * 2}).encode(), model="gemini-embedding-001"),
        _json(requests={**_EMBEDDED, "model": "models/gemini-2.5-flash"}),
    ],
    "gemini.count_tokens": [
        _json(contents=_CONTENTS),
        _json(generateContentRequest={"contents": _CONTENTS, "model": "models/gemini-2.5-flash"}),
    ],
    "elevenlabs.text_to_speech": _SPEECH,
    "elevenlabs.text_to_speech_stream": _SPEECH,
    "elevenlabs.text_to_speech_timed": _SPEECH,
    "elevenlabs.text_to_speech_stream_timed": _SPEECH,
    "bedrock.converse": _CONVERSE,
    "bedrock.converse_stream": _CONVERSE,
    "bedrock.count_model_tokens": [_json(input={"converse": _CONVERSED})],
}
"""By dialect and route; chat also by the host that it is sent to."""
