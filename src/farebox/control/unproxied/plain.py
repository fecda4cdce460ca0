"""Bodies of holds and captures that are written as nearly all are, read at once: plain ASCII, nothing escaped, twice, or of another type.

The same rules as `asked`, said shorter. Owns no refusal: what is not plain, or not right, is None here, and left to the careful reader.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from farebox import limits
from farebox.control.fields import DIGITS_MAX, ID_CHARS_MAX, allowed_tags
from farebox.control.unproxied.asked import USD_MAX, ToCapture, ToHold, millionths
from farebox.money import parse_usd

Amount = Annotated[str, Meta(max_length=DIGITS_MAX)]


class _Worth(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    amount_usd: Amount = ""
    quantity: Amount = ""


class _Hold(_Worth, gc=False):
    key: Annotated[str, Meta(max_length=ID_CHARS_MAX)] = ""
    account: Annotated[str, Meta(max_length=ID_CHARS_MAX)] = ""
    meter: Annotated[str, Meta(max_length=min(ID_CHARS_MAX, limits.meter_name_chars_max))] = ""
    lifetime_s: Annotated[int, Meta(ge=limits.hold_lifetime_s_min, le=limits.hold_lifetime_s_max)] | None = None
    user: Annotated[str, Meta(max_length=min(ID_CHARS_MAX, limits.user_bytes_max))] = ""
    run: Annotated[str, Meta(max_length=min(ID_CHARS_MAX, limits.run_id_bytes_max))] = ""
    tags: Annotated[dict[str, str], Meta(max_length=limits.tag_pairs_max)] | None = None


_ESCAPE = ord("\\")
"""As a number: to look in bytes for bytes, Python 3.11 first raises and forgets an error."""
_capture = msgspec.json.Decoder(_Worth).decode
_hold = msgspec.json.Decoder(_Hold).decode


def to_capture(body: bytes) -> ToCapture | None:
    """What a body says that the work came to."""
    try:
        read = _capture(body)
        if not _is_all(body, 2) or (read.amount_usd == "") == (read.quantity == ""):
            return None
        if read.quantity:
            return ToCapture(quantity=millionths(read.quantity))
        nano = parse_usd(read.amount_usd)
    except ValueError:
        return None
    return ToCapture(nano) if 0 <= nano <= USD_MAX else None


def to_hold(body: bytes) -> ToHold | None:
    """What a body asks to set aside."""
    try:
        read = _hold(body)
        return _checked(read) if _is_all(body, _strings(read)) else None
    except ValueError:
        return None


def _checked(read: _Hold) -> ToHold | None:
    """What the kinds of the fields do not say. Raises ValueError too."""
    key, account, meter, run, user = read.key, read.account, read.meter, read.run, read.user
    if (key and account) or (read.amount_usd == "") == (meter == "") or (meter == "") != (read.quantity == ""):
        return None
    if not (key + account + meter + run + user).isprintable():
        return None
    amount = parse_usd(read.amount_usd) if read.amount_usd else None
    quantity = millionths(read.quantity) if meter else None
    if (amount is not None and not 0 < amount <= USD_MAX) or quantity == 0:
        return None
    return ToHold(
        key or None,
        account or None,
        amount,
        meter or None,
        quantity,
        limits.hold_lifetime_s_default if read.lifetime_s is None else read.lifetime_s,
        user or None,
        run or None,
        allowed_tags(read.tags) if read.tags else {},
    )


def _strings(read: _Hold) -> int:
    """How many strings a body has that says this much and nothing twice: names, and values that are text."""
    pairs = 0
    for value in (read.amount_usd, read.quantity, read.key, read.account, read.meter, read.user, read.run):
        if value:
            pairs += 1
    count = 2 * pairs + (read.lifetime_s is not None)
    return count if read.tags is None else count + 1 + 2 * len(read.tags)


def _is_all(body: bytes, strings: int) -> bool:
    """Whether a body holds so many strings and no more: no name is there twice, no text is empty. Without escapes, a quote is an end of one."""
    return body.count(b'"') == 2 * strings and body.isascii() and _ESCAPE not in body
