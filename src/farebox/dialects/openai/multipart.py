"""Forms with files, where they stand in a body: every part's name and bytes, and changing one field without touching the others.

Read so strictly that no second reader finds other parts: the body begins and ends with its boundary, the boundary stands nowhere else,
heads have only the lines that forms have, and quotes and encodings that readers differ about are refused.
"""

import re
from collections.abc import Mapping

import msgspec

from farebox.dialects import fields
from farebox.dialects.strict import Members, shown
from farebox.errors import AmbiguousBody, InvalidRequest, TooLarge

PARTS_MAX = 256
HEAD_BYTES_MAX = 4096
_GAP = b"\r\n\r\n"
_WORD = r"[!#$%&'+.^_`|~0-9A-Za-z-]+"
_BOUNDARY = r"[0-9A-Za-z'()+_./:=?-]{1,70}"
"""No comma, though the standard has it: header lines that were sent apart are joined by one, and two types must not look like one."""
_TYPE = re.compile(rf'multipart/form-data[ \t]*;[ \t]*boundary=(?:([0-9A-Za-z\'+_.-]{{1,70}})|"({_BOUNDARY})")[ \t]*;?', re.IGNORECASE)
_LINE = re.compile(r"([A-Za-z-]{1,32}):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")
_PARAMETER = re.compile(rf'[ \t]*;[ \t]*({_WORD}\*?)=(?:"((?:[^"\\]|\\(?!"))*)"|({_WORD}))')
_NAME = re.compile(r"[0-9A-Za-z_.-]{1,64}(?:\[[0-9A-Za-z_.-]{0,64}\]){0,4}")
_PLAIN_TYPE = re.compile(r'text/plain(?:[ \t]*;[ \t]*charset="?(?:utf-8|us-ascii)"?)?', re.IGNORECASE)
_AS_IT_IS = frozenset(("7bit", "8bit", "binary"))
_HEAD_LINES = frozenset(("content-disposition", "content-type", "content-length", "content-transfer-encoding"))
_SWITCH = {"true": True, "false": False}


class Part(msgspec.Struct, frozen=True, gc=False):
    """One field: its value is `body[start:end]`."""

    name: str
    start: int
    end: int
    is_file: bool
    media_type: str


class Form(msgspec.Struct, frozen=True):
    """A body, read."""

    boundary: bytes
    parts: tuple[Part, ...]

    def files(self, *names: str) -> list[Part]:
        """The files of these names."""
        return [part for part in self.parts if part.is_file and _base(part.name) in names]


def read_form(body: bytes, headers: Mapping[bytes, bytes]) -> Form:
    """The form in a body. Raises InvalidRequest, AmbiguousBody or TooLarge."""
    found = _TYPE.fullmatch(headers.get(b"content-type", b"").decode("latin-1").strip())
    if found is None:
        raise InvalidRequest(problem="The content type must be multipart/form-data with one boundary.")
    boundary = (found[1] or found[2]).encode()
    if not body.startswith(b"--" + boundary + b"\r\n"):
        raise InvalidRequest(problem="The form does not begin with its boundary.")
    parts: list[Part] = []
    at = len(boundary) + 4
    while at:
        if len(parts) == PARTS_MAX:
            raise TooLarge(what="number of parts in the form", limit=PARTS_MAX)
        part, at = _part(body, boundary, at)
        parts.append(part)
    if body.count(b"--" + boundary) != len(parts) + 1:  # behind another line ending there are readers that take it for one
        raise AmbiguousBody(problem="The form's boundary stands where no part begins or ends.", field="boundary")
    return Form(boundary, tuple(parts))


def members(body: bytes, form: Form, names: fields.Names, files: frozenset[str], lists: frozenset[str]) -> Members:
    """The form's fields by name, as JSON would have them: texts, lists of texts, and lists of parts where files are expected.

    A field that is read and stands there twice is refused, as is `name[]` where one value is meant, and a file under any other name.
    """
    found: Members = {}
    for part in form.parts:
        base = _base(part.name)
        if part.is_file != (base in files):
            raise fields.invalid(shown(base), "must be a file" if base in files else "must not be a file")
        value = part if part.is_file else text_of(body, part)
        bracketed = base != part.name
        if bracketed and base in names.known and base not in lists | files:
            raise AmbiguousBody(problem=f"`{shown(part.name)}` could be read as `{shown(base)}`.", field=shown(part.name))
        listed = bracketed or base in lists or base in files
        if listed and type(found.setdefault(base, [])) is list:
            found[base].append(value)
        elif base in found:
            raise AmbiguousBody(problem=f"The field `{shown(base)}` appears twice in the form.", field=shown(base))
        else:
            found[base] = value
    return found


def text_of(body: bytes, part: Part) -> str:
    """A field's text. Raises InvalidRequest where it is no UTF-8, or says that it is something else."""
    if part.media_type and not _PLAIN_TYPE.fullmatch(part.media_type):
        raise fields.invalid(shown(part.name), "must be plain text in UTF-8")
    try:
        return body[part.start : part.end].decode()
    except UnicodeDecodeError:
        raise fields.invalid(shown(part.name), "must be plain text in UTF-8") from None


def switch(found: Members, name: str) -> bool:
    """A boolean in words; absent is false."""
    value = found.get(name)
    if value is None:
        return False
    said = _SWITCH.get(value.lower()) if type(value) is str else None
    if said is None:
        raise fields.invalid(name, "must be true or false")
    return said


def whole(found: Members, name: str) -> int | None:
    """An integer in digits; absent is None."""
    value = found.get(name)
    if value is None:
        return None
    if type(value) is not str or not value.isascii() or not value.isdigit() or len(value) > len(str(fields.INT_MAX)):
        raise fields.invalid(name, "must be an integer")
    return int(value)


def edited(body: bytes, form: Form, values: Mapping[str, str]) -> bytes:
    """The body with some fields' values exchanged, or the fields put before all others; the same object where there are none."""
    if not values:
        return body
    pieces = [_field(form.boundary, name, value) for name, value in values.items() if all(part.name != name for part in form.parts)]
    at = 0
    for part in form.parts:
        if part.name in values:
            pieces += (body[at : part.start], values[part.name].encode())
            at = part.end
    return b"".join((*pieces, body[at:]))


def _field(boundary: bytes, name: str, value: str) -> bytes:
    return b'--%b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (boundary, name.encode(), value.encode())


def _part(body: bytes, boundary: bytes, at: int) -> tuple[Part, int]:
    """The part whose head begins here, and where the next one does; 0 where it was the last."""
    gap = body.find(_GAP, at, at + HEAD_BYTES_MAX)
    if gap < 0:
        raise InvalidRequest(problem=f"A part of the form has no end of its head within {HEAD_BYTES_MAX} bytes.")
    start = gap + len(_GAP)
    separator = b"\r\n--" + boundary
    end = body.find(separator, start - 2)
    if end < 0:
        raise InvalidRequest(problem="The form does not end with its boundary.")
    after = end + len(separator)
    mark = body[after : after + 2]
    if end < start or mark not in (b"\r\n", b"--"):
        raise AmbiguousBody(problem="The form's boundary stands where no part begins or ends.", field="boundary")
    if mark == b"--" and body[after + 2 : after + 6] not in (b"", b"\r\n"):
        raise AmbiguousBody(problem="Something follows the end of the form.", field="boundary")
    return _read_head(body[at:gap], start, end), after + 2 if mark == b"\r\n" else 0


def _read_head(head: bytes, start: int, end: int) -> Part:
    lines: dict[str, str] = {}
    for raw in head.decode("latin-1").split("\r\n"):
        line = _LINE.fullmatch(raw)
        name = line[1].lower() if line is not None else ""
        if line is None or name not in _HEAD_LINES or name in lines:
            raise InvalidRequest(problem=f"The head of a part of the form cannot be read: {shown(raw)}")
        lines[name] = line[2].strip()
    if lines.get("content-transfer-encoding", "binary").lower() not in _AS_IT_IS:
        raise InvalidRequest(problem="Parts of the form must be sent as they are, in no transfer encoding.")
    named = _disposition(lines.get("content-disposition", ""))
    return Part(named["name"], start, end, "filename" in named, lines.get("content-type", ""))


def _disposition(said: str) -> dict[str, str]:
    """What a part says of itself. A file has a plain `filename`: there are readers that know no other."""
    found: dict[str, str] = {}
    at = len("form-data")
    while at < len(said.rstrip(" \t;")) and (pair := _PARAMETER.match(said, at)) is not None and pair[1].lower() not in found:
        found[pair[1].lower()] = pair[2] if pair[2] is not None else pair[3]
        at = pair.end()
    known = found.keys() <= {"name", "filename", "filename*"} and ("filename*" not in found or "filename" in found)
    if said[:9].lower() != "form-data" or said[at:].strip(" \t;") or not known or not _NAME.fullmatch(found.get("name", "")):
        raise InvalidRequest(problem=f"A part of the form does not say which field it is: {shown(said)}")
    return found


def _base(name: str) -> str:
    return name.partition("[")[0]
