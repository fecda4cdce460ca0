"""Simulated AI providers, on one port, that bill what they generate: for the demo, the tests, and rehearsing a leak.

A product of its own: it shares no code with the gateway's metering or pricing, so that its bill is worth comparing with. It counts tokens by
the rule in `generation.py`, reports usage in each dialect's true shape, prices with genai-prices' own calculation, and keeps its own bill.

Routes: `POST /v1/chat/completions` (OpenAI), `POST /v1/messages` and `/v1/messages/count_tokens` (Anthropic), `GET /v1/models` and
`/v1/models/{id}` (Anthropic's shape when `anthropic-version` or `x-api-key` is sent, else OpenAI's), `HEAD /`. Any credential is accepted.

Words in the last user message ask for a behaviour; with none, a short sentence is answered at once:

| word | asks for |
| --- | --- |
| `sim:bill=NAME` | the call billed under this label |
| `sim:output=200`, `sim:reasoning=500` | visible and hidden output tokens, per choice; together they end at the cap |
| `sim:cached=100`, `sim:cache_write=100` | input tokens read from the provider's cache, and written to it |
| `sim:tool=1` | a call of the request's first tool |
| `sim:ignore_cap=1` | the cap ignored: all that was asked is generated and billed |
| `sim:delay=50`, `sim:pace=20` | milliseconds to the first byte, and between pieces |
| `sim:status=529`, `sim:code=NAME` | an error in the dialect's shape, not billed; its code or type |
| `sim:fail=10` | a stream that ends after ten pieces with the dialect's error event (of `status` and `code`, else 500) |
| `sim:cut=10`, `sim:stall=10` | after ten pieces the connection dropped, or silent until the caller leaves |
| `sim:usage=missing` `partial` `zero` `negative` | usage misreported; the bill stays true |
| `sim:garbage=html` `gzip` `badjson` `badlength` `nothing` | an answer that is none; billed, for it was generated |
| `sim:on_abort=bill_all` `bill_sent` | what is billed when an answer does not reach its end; all of it unless asked otherwise |

A stream has one piece per token, up to about 2,000 pieces. An answer that is not streamed, cut or stalled: nothing of it is sent at 0, else its first half.
On an unfinished answer `bill_sent` bills the input and the output tokens in the pieces sent so far (none of an answer that is not streamed).

The bill: `GET /sim/calls?label=&after=` (`{"data": [...], "next": id or null}`, at most 10,000 rows a page; go on with `after=` the next),
`GET /sim/bill?by=label|model` (`{"by", "data": [{label or model, calls, usd, nano}], "total_usd", "total_nano"}`), `POST /sim/reset`.
A row's `id` is the request id that the answer carried in `x-request-id` or `request-id`. Only calls that generate have rows; refused ones are there, at zero.
"""

from .server import Server, run, serve

__all__ = ["Server", "run", "serve"]
