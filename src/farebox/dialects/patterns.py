"""Names within paths: what they may be made of. Anything else is no route, so that nothing can be smuggled past one."""

import re

_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@+-]*(?:/[A-Za-z0-9][A-Za-z0-9._:@+-]*)*")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
NAME_CHARS_MAX = 256


def model_id(path: str, before: str) -> str | None:
    """The model that the rest of a path names: `provider/model` too, and never an empty or a dotted segment."""
    return _rest(path, before, _MODEL)


def object_id(path: str, before: str, after: str = "") -> str | None:
    """The one segment between two parts of a path, where it can be an id."""
    if not path.endswith(after):
        return None
    return _rest(path[: len(path) - len(after)], before, _NAME)


def _rest(path: str, before: str, pattern: "re.Pattern[str]") -> str | None:
    if not path.startswith(before) or len(path) - len(before) > NAME_CHARS_MAX:
        return None
    rest = path[len(before) :]
    return rest if pattern.fullmatch(rest) else None
