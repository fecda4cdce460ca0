"""Output items that OpenAI keeps: named again by `item_reference`, or recalled by the id of an item that does not say all it was. Pure.

**The rule.** An item that was kept is as many input tokens as it was output tokens, beside what every message is; a message brings its annotations, too,
a quarter of their bytes; a search what it found, 200 tokens or as `sim:found` said; any other item is a quarter of its bytes. The reference itself is
nothing. Reasoning that is sent with its id, but without its encryption, is recalled too: it must be kept. So must a message or a call that has an id
in place of what it said. A search that is sent whole, whatever else is in it, or a message that is empty, may be one that nobody keeps.
"""

from collections.abc import Iterator, Sequence

import msgspec

from .desk import Kept
from .generation import BYTES_PER_TOKEN, TOKENS_PER_MESSAGE, Generation
from .openai_response import Item, annotations, items
from .reading import NOTHING, decode
from .refusals import RefusedError, invalid


class KeptItem(msgspec.Struct, frozen=True):
    """One item, and what it is as input."""

    item: Item
    tokens: int


class Recalled(msgspec.Struct, frozen=True):
    """An input, with what it names."""

    written: list[msgspec.Raw]
    """What is in the request itself."""
    tokens: int = 0
    """Of what is not."""


class _Named(msgspec.Struct):
    type: str | None = None
    id: str | None = None
    role: str | None = None
    encrypted_content: str | None = None
    content: msgspec.Raw = NOTHING
    arguments: msgspec.Raw = NOTHING


_named = msgspec.json.Decoder(_Named)
_ABSENT = (b"", b"null")
_NO_CONTENT = (*_ABSENT, b"[]", b'""')


def keep(kept: Kept, generation: Generation) -> None:
    """Keep the items of a response."""
    for item in items(generation):
        kept.put(str(item["id"]), KeptItem(item, _tokens(generation, item)))


def forget(kept: Kept, generation: Generation) -> None:
    """They go with their response."""
    for item in items(generation):
        kept.drop(str(item["id"]))


def recall(written: Sequence[msgspec.Raw], kept: Kept, *, store: bool) -> Recalled:
    """The input with all that it names. Raises `RefusedError` for what is not kept."""
    own: list[msgspec.Raw] = []
    tokens = 0
    for raw in written:
        named = decode(_named, raw)
        if _is_reference(named):
            tokens += TOKENS_PER_MESSAGE + _find(kept, named.id, store=store).tokens
            continue
        own.append(raw)
        if named.type == "reasoning" and named.id and not named.encrypted_content and bytes(named.content) in _NO_CONTENT:
            tokens += _find(kept, named.id, store=store).tokens
        elif _may_be_kept(named) and isinstance(found := kept.get(named.id or ""), KeptItem):
            tokens += found.tokens
    return Recalled(own, tokens)


def shown(written: Sequence[msgspec.Raw], kept: Kept) -> Iterator[msgspec.Raw]:
    """The input as it was meant: references are what they refer to."""
    for raw in written:
        named = decode(_named, raw)
        found = kept.get(named.id or "") if _is_reference(named) else None
        yield msgspec.Raw(msgspec.json.encode(found.item)) if isinstance(found, KeptItem) else raw


def _is_reference(named: _Named) -> bool:
    if named.type == "item_reference" or (named.type is None and named.role is None):
        return True
    said = named.content if _is_message(named) else named.arguments if named.type == "function_call" else None
    return said is not None and bool(named.id) and bytes(said) in _ABSENT


def _may_be_kept(named: _Named) -> bool:
    return named.type == "web_search_call" or (_is_message(named) and bytes(named.content) in _NO_CONTENT)


def _is_message(named: _Named) -> bool:
    return named.type in (None, "message")


def _find(kept: Kept, name: str | None, *, store: bool) -> KeptItem:
    if not name:
        raise invalid("Missing required parameter: 'input[].id'.", param="input", code="missing_required_parameter")
    found = kept.get(name)
    if isinstance(found, KeptItem):
        return found
    message = f"Item with id '{name[:80]}' not found."
    if not store:
        message += " Items are not persisted when `store` is set to false. Try again with `store` set to true, or remove this item from your input."
    raise RefusedError(404, message, param="input")


def _tokens(generation: Generation, item: Item) -> int:
    kind = item["type"]
    if kind == "reasoning":
        return generation.reasoning
    if kind == "message":
        cited = annotations(generation)
        return generation.visible + (_quarter(cited) if cited else 0)
    if kind == "function_call":
        return generation.visible
    return generation.ask.words.found if kind == "web_search_call" else _quarter(item)


def _quarter(written: object) -> int:
    return -(-len(msgspec.json.encode(written)) // BYTES_PER_TOKEN)
