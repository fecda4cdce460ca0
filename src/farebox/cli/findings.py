"""What an examination finds: one thing that was looked at, and how it stands."""

from typing import Literal

import msgspec

State = Literal["fine", "look", "wrong"]


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at."""

    name: str
    state: State
    says: str

    def shown(self) -> dict[str, str]:
        return {"name": self.name, "state": self.state, "says": self.says}
