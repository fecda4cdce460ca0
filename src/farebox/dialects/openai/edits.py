"""Editing images: as making them, with pictures in a form beside the text, each of them bounded (providers.md §1.4)."""

import binascii
from collections.abc import Mapping

import msgspec

from farebox import limits
from farebox.dialects import fields
from farebox.dialects.base import Ask, Report, Route, StreamMeter
from farebox.dialects.media import families, image
from farebox.dialects.openai import images, multipart
from farebox.dialects.strict import Members
from farebox.usage import Demand

PICTURES_MAX = 16
_PICTURES = frozenset(("image", "mask", "markup"))
_HEAD_BYTES = 1_048_581
"""How far into a picture its size is looked for."""
_NUMBERS = ("n", "partial_images")
_BODY = fields.names(
    ("image", "mask", "markup", "input_fidelity", *images.READ),
    images.HARMLESS,
    {**images.COSTLY, "images": "pictures that are not in the request are not bounded here."},
)


class Edit(msgspec.Struct, frozen=True):
    """What the rewrite and the answer are read by."""

    form: multipart.Form
    unit: str
    """Of an image that is billed by the image; empty where tokens are."""


class Edits:
    """`POST /images/edits`."""

    def ask(self, route: Route, body: bytes, headers: Mapping[bytes, bytes]) -> Ask:
        """Reads and bounds a request."""
        form = multipart.read_form(body, headers)
        members = multipart.members(body, form, _BODY, _PICTURES, frozenset())
        unknown = fields.examine(members, _BODY)
        model = fields.text(members, "model", length_max=limits.model_name_chars_max)
        texts = {name: value for name, value in members.items() if name not in _PICTURES}
        texts |= {name: multipart.whole(members, name) for name in _NUMBERS if name in members}
        number = fields.integer(texts, "n", least=1, most=images.IMAGES_MAX) or 1
        stream = multipart.switch(members, "stream")
        unit = images.unit_of(model, texts)
        if stream and (number > 1 or unit):
            raise fields.invalid("stream", "is for one image, of a model that is billed by the token")
        pictures = _pictures(form)
        return Ask(
            dialect="openai",
            route=route.name,
            model=model,
            stream=stream,
            demand=images.by_image(unit, number) if unit else _by_token(body, texts, model, number, pictures),
            unknown_fields=unknown,
            names=frozenset(members),
            facts=Edit(form, unit),
        )

    def rewrite(self, ask: Ask, body: bytes, *, model: str | None, output_cap: int | None) -> bytes:  # noqa: ARG002 - images have no cap
        """Sets the model."""
        edit: Edit = ask.facts
        return multipart.edited(body, edit.form, {} if model is None or model == ask.model else {"model": model})

    def read_answer(self, ask: Ask, body: bytes, headers: Mapping[bytes, bytes]) -> Report:  # noqa: ARG002 - nothing in them is metered
        """Reads a whole answer."""
        edit: Edit = ask.facts
        return images.read_images(edit.unit, body)

    def stream(self, ask: Ask, headers: Mapping[bytes, bytes]) -> StreamMeter:  # noqa: ARG002 - nothing in them is metered
        """A meter for one streamed image."""
        return images.ImageMeter()


def _pictures(form: multipart.Form) -> list[multipart.Part]:
    given = len(form.files("image"))
    if not 1 <= given <= PICTURES_MAX:
        raise fields.invalid("image", f"must be 1 to {PICTURES_MAX} pictures")
    for name in ("mask", "markup"):
        if len(form.files(name)) > 1:
            raise fields.invalid(name, "must be one picture")
    return form.files(*_PICTURES)


def _by_token(body: bytes, texts: Members, model: str, number: int, pictures: list[multipart.Part]) -> Demand:
    demand = images.by_token(msgspec.json.encode(texts), texts, model, number)
    seen = sum(_tokens(body, part, families.family_of(model)) for part in pictures)
    return msgspec.structs.replace(demand, input_tokens_max=demand.input_tokens_max + seen)


def _tokens(body: bytes, part: multipart.Part, family: str) -> int:
    """Of one picture, by the size that its bytes tell: what the form says of its type is not asked."""
    head = body[part.start : min(part.end, part.start + _HEAD_BYTES)]
    return image.image_tokens_max(family, "", binascii.b2a_base64(head, newline=False).decode())
