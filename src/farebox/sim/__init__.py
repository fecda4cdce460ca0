"""Simulated AI providers, on one port, that bill what they generate: for the demo, the tests, and rehearsing a leak.

A product of its own: it shares no code with the gateway's metering or pricing, so that its bill is worth comparing with. It counts tokens by
the rule in `generation.py`, reports usage in each dialect's true shape, prices with genai-prices' own calculation, and keeps its own bill.

Routes: OpenAI: `POST /v1/chat/completions`, `/v1/completions`, `/v1/embeddings`, `/v1/moderations`, `/v1/images/generations|edits`,
`/v1/audio/speech|transcriptions|translations`, `/v1/responses` with `/input_tokens`, `/compact`, and of each stored response `GET`, `DELETE`, `POST …/cancel`,
`GET …/input_items`. The rules by which pictures, sound and files are counted stand in `openai_media.py`, `openai_images.py`, `openai_speech.py` and
`openai_transcriptions.py`. Anthropic: `POST /v1/messages` and `/v1/messages/count_tokens`. Both: `GET /v1/models` and
`/v1/models/{id}` (Anthropic's shape when `anthropic-version` or `x-api-key` is sent, else OpenAI's), `HEAD /`. Any credential is accepted.
Azure OpenAI: `/openai/deployments/{deployment}/…?api-version=` and `/openai/v1/…`; which model is behind a deployment says `azure.py`, or
`--deployment NAME=MODEL`. ElevenLabs: `POST /v1/text-to-speech/{voice}`, `/stream`, `/with-timestamps`, `/stream/with-timestamps`, and `GET /v1/models` with
`xi-api-key`. Bedrock: `POST /model/{id}/converse`, `/converse-stream`, `/count-tokens`, with a bearer key or signed by the test keys in `options.py`, or
those of `--aws-key ID:SECRET`; a wrong signature is refused and stands on no bill.
Gemini, below `/v1beta` and `/v1`: `POST …/models/{model}:generateContent`, `:streamGenerateContent` (events with `?alt=sse`, else one JSON array cut
anywhere), `:countTokens`, `:embedContent`, `:batchEmbedContents`, `GET …/models` and `…/models/{model}`, with `x-goog-api-key` or `?key=`.
Hosts of OpenAI-compatible chat: `POST /{host}/v1/chat/completions` and `GET /{host}/v1/models` for `deepseek`, `mistral`, `xai`, `groq`, `openrouter`,
`together`, `fireworks`, `perplexity`, `cohere`, `vllm`, `ollama` (these two have every model and charge nothing) and `gemini-openai` (also
`/v1beta/openai/chat/completions`), each with the usage, the headers and the errors it is known for: `hosts.py`, `host_usage.py`, `host_errors.py`.
Cohere's own `POST /cohere/v2/chat`; OpenRouter's `GET /openrouter/v1/generation?id=`.

Structured output: where a request asks for JSON, the answer is the smallest instance of its schema (`schemas.py`), of no schema `{}`; whole or streamed,
and cut by the cap like any other, so that it does not parse. `sim:output` and `sim:tool` come first.

| API | asked for by |
| --- | --- |
| OpenAI chat, Azure, the hosts | `response_format`: `json_schema`, `json_object` (there a `schema` beside it counts too) |
| OpenAI responses | `text.format`, the same two |
| Anthropic | `output_config.format` or `output_format`: `json_schema` |
| Gemini | `generationConfig.responseSchema` or `responseJsonSchema`, with `responseMimeType` `application/json` |
| Bedrock | `outputConfig.textFormat`: `json_schema` |

Words in the last user message ask for a behaviour; with none, a short sentence (or that instance) is answered at once:

| word | asks for |
| --- | --- |
| `sim:bill=NAME` | the call billed under this label |
| `sim:output=200`, `sim:reasoning=500` | visible and hidden output tokens, per choice; together they end at the cap |
| `sim:cached=100`, `sim:cache_write=100` | input tokens read from the provider's cache, and written to it |
| `sim:tool=1` `NAME` | a call of the request's first tool, or of the one of that name (a name: OpenAI) |
| `sim:ignore_cap=1` | the cap ignored: all that was asked is generated and billed |
| `sim:delay=50`, `sim:pace=20` | milliseconds to the first byte, and between pieces |
| `sim:status=529`, `sim:code=NAME` | an error in the dialect's shape, not billed; its code or type |
| `sim:fail=10` | a stream that ends after ten pieces with the dialect's error event (of `status` and `code`, else 500) |
| `sim:cut=10`, `sim:stall=10` | after ten pieces the connection dropped, or silent until the caller leaves |
| `sim:usage=missing` `partial` `zero` `negative` | usage misreported; the bill stays true |
| `sim:garbage=html` `gzip` `badjson` `badlength` `nothing` | an answer that is none; billed, for it was generated |
| `sim:on_abort=bill_all` `bill_sent` | what is billed when an answer does not reach its end; all of it unless asked otherwise |
| `sim:tier=default` `flex` `priority` `scale` | the service tier that serves the call, whatever it asked for (OpenAI) |
| `sim:image_in=765`, `sim:audio_in=20` | input tokens of each picture or sound in the request, whatever its size (OpenAI) |
| `sim:audio_out=50` | output tokens of sound: in each choice, below the cap, if the request asks for sound; of speech that is sold by tokens (OpenAI) |
| `sim:accepted=4`, `sim:rejected=20` | tokens of the request's prediction that came true, a part of the visible ones; and that did not, beyond any cap (OpenAI) |
| `sim:web_search=3` | with OpenAI's chat how many searches are paid for, instead of one, if it searches; in responses below |
| `sim:file_search=1`, `sim:containers=2` | uses of the tools in a response, if it offers them, as `max_tool_calls` allows: a fee each, and one for each container (OpenAI) |
| `sim:image_gen=1056`, `sim:image_gen_in=50` | output and input tokens of a response's image tool, at its own model; 100 more for each partial picture (OpenAI) |
| `sim:tool_usage=missing` | a response's `tool_usage` left out; the output items are there (OpenAI) |
| `sim:end=incomplete` `failed` `error` | how a response ends: by a content filter, failed without usage, or with nothing but the event `error` (OpenAI) |
| `sim:found=9000`, `sim:annotations=2` | input tokens of what each search found, when it is named again (200 unless asked); pages that a message cites (OpenAI responses) |
| `sim:polls=2` | how often a response in the background is found in progress before it is over; 1 unless asked (OpenAI) |
| `sim:svg=200` | output tokens at the model that writes a drawing as SVG (OpenAI images) |
| `sim:seconds=12` | how long the sound is that is transcribed; the words of a transcription stand in its `prompt` (OpenAI) |
| `sim:cache_write_1h=600` | input tokens written to the cache for an hour, beside those of `cache_write` (Anthropic, Bedrock) |
| `sim:cache_split=missing` `mismatch` | how much was written for how long left out, or half of it told (Anthropic, Bedrock) |
| `sim:web_search=2`, `sim:web_fetch=1`, `sim:code_execution=1` | uses of the provider's own tools, if the request offers them, as often as it allows |
| `sim:web_search_errors=1` | searches that fail and cost nothing (Anthropic) |
| `sim:iterations=compaction` | more runs of models (Anthropic): `message` `compaction` `advisor_message` `fallback_message` `fallback_output` `unknown`; several joined by `-` |
| `sim:refusal=10` | a refusal after ten visible tokens; at 0 it is not billed (Anthropic) |
| `sim:deltas=3` | a stream's usage in three events, each the sum so far (Anthropic) |
| `sim:content_filter=finish` `late` | an answer that the content filter ends, or reports on late (Azure; the former Bedrock too) |
| `sim:tool_use=30` | input tokens that the provider's own tools add to the prompt (Gemini; OpenAI responses with tools) |
| `sim:queries=2` | queries to a search: for Gemini billed each, before Gemini 3 once for all of them; for Perplexity each, where the model sells them |
| `sim:image_out=1290` | output tokens of an image in each candidate, if they fit below the cap (Gemini) |
| `sim:block=1` | the prompt blocked: its input is billed, nothing is generated (Gemini) |

A stream has one piece per token, up to about 2,000 pieces. An answer that is not streamed, cut or stalled: nothing of it is sent at 0, else its first half.
On an unfinished answer `bill_sent` bills the input and the output tokens in the pieces sent so far (none of an answer that is not streamed).
A response in the background is generated to its end and billed whole, whether its caller stays or not; cancelled before its end, it is billed and
reports what `on_abort` says. Fees and parts at other models are billed with the input.

The bill: `GET /sim/calls?label=&after=` (`{"data": [...], "next": id or null}`, at most 10,000 rows a page; go on with `after=` the next),
`GET /sim/bill?by=label|model` (`{"by", "data": [{label or model, calls, usd, nano}], "total_usd", "total_nano"}`), `POST /sim/reset`.
`POST /sim/keys?key=KEY&status=401&code=NAME` has a credential refused from then on (it stands on no bill); without a status it is taken again.
A row's `id` is the request id that the answer carried in `x-request-id`, `request-id`, `x-amzn-requestid` or
`x-generation-id`, for Gemini as `responseId`. Only calls that generate have rows; refused
ones are there, at zero, but for those that Azure charges (400 `content_filter`, 408).
"""

from .server import Server, run, serve

__all__ = ["Server", "run", "serve"]
