"""What an operator's settings admit although nothing in a request bounds its cost: tools, parts and fields that are refused without.

Each has a name: where it stands, without indices, and of which kind it is (`tools.mcp`, `input.computer_call_output`). A setting of that name
says how much one of them may add to a call at most; that is held, and what the provider reports is charged. Whatever decides who pays, or
reaches into what others keep at the provider, has no such name. Owns the names and the sums; which fields have one is said where they are read.
"""

import json
import re
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec

from farebox import limits
from farebox.errors import CostUnbounded, InvalidRequest
from farebox.usage import EXTRA_NAME, Extra

if TYPE_CHECKING:
    from farebox.dialects.base import Ask

NO_SETTING = "No setting of this gateway allows it."
_FILE = "file"
_INDEX = re.compile(r"\[[0-9]+\]")
_NAME = re.compile(EXTRA_NAME)
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_TOKENS_SHOWN = 20_000
_FEE_SHOWN = "0.10"
_SCHEMAS = frozenset(("parameters", "input_schema", "inputSchema", "schema"))
"""The names in them are the caller's own words; so are those of what a model gave a tool."""
_FILES = frozenset(("file_id", "file_ids", "fileId", "fileIds"))
_OWN_IDS = frozenset(("id", "call_id", "tool_call_id", "tool_use_id", "toolUseId", "approval_request_id"))
"""They say what belongs together within the request."""
_IDS = ("_id", "_ids", "Id", "Ids")
_REACHING = frozenset(
    (
        *("authorization", "authorization_token", "authorizationToken", "headers", "credentials", "api_key", "apiKey", "token"),
        *("container", "s3Location", "billing_policy", "service_tier"),
    )
)
"""Names of what decides who pays, or is kept by the provider; beside every name that ends as those of ids do."""
_KEPT_AT = ("gs://", "s3://", "files/", "https://generativelanguage.googleapis.com/")


class BySetting(str):
    """A reason why something is refused that has a setting: its usage is reported, only not bounded before the call."""

    __slots__ = ()


class ByFee(BySetting):
    """One that costs something which no usage reports: its setting has to say what."""

    __slots__ = ()


class Bounds(msgspec.Struct, frozen=True):
    """What the settings of one provider admit."""

    provider: str
    named: Mapping[str, Extra] = MappingProxyType({})


class Extras:
    """What one request has of it. Filled while it is read."""

    __slots__ = ("_bounds", "_taken", "_units", "_uses")

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._taken: list[Extra] = []
        self._units: tuple[str, ...] = ()
        self._uses: list[tuple[str, str]] = []

    def take(self, field: str, why: BySetting, *, name: str = "", holds: Any = None, units: Collection[str] = ()) -> None:
        """Takes something into account that a setting admits. Raises CostUnbounded, naming that setting, where none does.

        `field` is what is refused; `name` is that of the setting where it is another one, with indices that do not count. `holds` is all of it:
        what that names must be the caller's own. `units`: what its output is billed as.
        """
        name = self.named(_INDEX.sub("", name or field))
        extra = self._bounds.named.get(name)
        reaches = "" if holds is None else self._reaches(holds)
        if reaches:
            raise CostUnbounded(field=field, why=f"its `{reaches}` is somebody's credential, or is kept elsewhere.", setting=NO_SETTING)
        if _NAME.fullmatch(name) is None:
            raise CostUnbounded(field=field, why=str(why), setting=NO_SETTING)
        if extra is None or (isinstance(why, ByFee) and not extra.fee_pico):
            raise CostUnbounded(field=field, why=str(why), setting=self._setting(name, why))
        self._taken.append(extra)
        self._units += tuple(units)

    def named(self, name: str) -> str:
        """The name of the setting, in the one spelling that counts."""
        return name

    def onto(self, ask: "Ask") -> "Ask":
        """The request with what it has more: held for, and not to be measured by what its answer shows."""
        if not self._taken:
            return ask
        demand = ask.demand
        ask.demand = msgspec.structs.replace(
            demand,
            extra_input_tokens=demand.extra_input_tokens + sum(extra.input_tokens for extra in self._taken),
            extra_output_tokens=demand.extra_output_tokens + sum(extra.output_tokens for extra in self._taken),
            output_units=(*demand.output_units, *self._units),
            fee_pico=demand.fee_pico + sum(extra.fee_pico for extra in self._taken),
            admitted=True,
        )
        ask.hidden_output = True
        ask.uses = (*ask.uses, *self._uses)
        return ask

    def _setting(self, name: str, why: BySetting) -> str:
        """The line to write, and where."""
        section = ".".join(("providers", _key(self._bounds.provider)))
        line = f'fee_usd = "{_FEE_SHOWN}"' if isinstance(why, ByFee) else f"input_tokens = {_TOKENS_SHOWN}"
        return f"The operator can bound it in the settings, with what it may add at most, under [{section}]: bounds.{_key(name)}.{line}"

    def _reaches(self, holds: Any) -> str:
        """The first name in it that no setting admits, or "". Files are noted: they must be the caller's own."""
        waiting = [holds]
        while waiting:
            value = waiting.pop()
            if type(value) is list:
                waiting.extend(value)
            elif type(value) is dict:
                for name, inner in value.items():
                    if not inner or name in _SCHEMAS or name in _OWN_IDS or (name == "input" and _is_use(value)):
                        continue
                    if self._is_kept(name, inner):
                        return str(name)
                    waiting.append(inner)
        return ""

    def _is_kept(self, name: str, value: Any) -> bool:
        if name in _REACHING or (name.endswith(_IDS) and not self._are_files(name, value)):
            return True
        places = value if type(value) is list else [value]
        return any(type(place) is str and place.strip().lower().startswith(_KEPT_AT) for place in places)

    def _are_files(self, name: str, value: Any) -> bool:
        ids = value if type(value) is list else [value]
        if name not in _FILES or any(type(one) is not str for one in ids):
            return False
        self._uses.extend((_FILE, one) for one in ids)
        if len(self._uses) > limits.request_media_max:
            raise InvalidRequest(problem=f"`{name}` is one file too many: a request may have {limits.request_media_max}.", field=name)
        return True


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else json.dumps(name)


def _is_use(block: dict[str, Any]) -> bool:
    return str(block.get("type")).endswith("_tool_use")
