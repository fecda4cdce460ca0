"""Bodies of `multipart/form-data`, as OpenAI takes files. Pure."""

from email.message import Message
from typing import NamedTuple

from .refusals import invalid
from .wire import Request


class File(NamedTuple):
    """A file in a form."""

    field: str
    name: str
    data: bytes


class Form(NamedTuple):
    """Fields and files by the order they came. A field that is there twice has its last value."""

    fields: dict[str, str]
    files: list[File]


def form_of(request: Request) -> Form:
    """The form in a body. Raises `RefusedError` when it is none."""
    kind, boundary = _typed(request.headers.get(b"content-type", b"").decode("latin-1"))
    if kind != "multipart/form-data" or not boundary:
        raise invalid("Could not parse multipart form: the content type is not multipart/form-data with a boundary.")
    form = Form({}, [])
    parts = (b"\r\n" + request.body).split(b"\r\n--" + boundary.encode("latin-1"))
    if len(parts) == 1 or not parts[-1].startswith(b"--"):
        raise invalid("Could not parse multipart form: it has no end.")
    for part in parts[1:-1]:
        _add(form, part.removeprefix(b"\r\n"))
    return form


def _add(form: Form, part: bytes) -> None:
    head, gap, data = part.partition(b"\r\n\r\n")
    disposition = _parameters(_lines(head).get("content-disposition", ""))
    name = disposition.get("name", "")
    if not gap or not name:
        raise invalid("Could not parse multipart form: a part has no name.")
    if "filename" in disposition:
        form.files.append(File(name, disposition["filename"], data))
    else:
        form.fields[name] = data.decode("utf-8", "replace")


def _lines(head: bytes) -> dict[str, str]:
    pairs = [line.partition(":") for line in head.decode("utf-8", "replace").split("\r\n")]
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _typed(content_type: str) -> tuple[str, str]:
    parameters = _parameters(content_type)
    return content_type.partition(";")[0].strip().lower(), parameters.get("boundary", "")


def _parameters(value: str) -> dict[str, str]:
    message = Message()
    message["content-type"] = value.replace("\r", " ").replace("\n", " ")
    return {name.lower(): text for name, text in message.get_params(failobj=[]) if text}
