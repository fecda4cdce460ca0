"""What an operator of the simulator may set besides where it listens."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

import msgspec

TEST_ACCESS_KEY: Final = "AKIASIMULATED0000000"
TEST_SECRET_KEY: Final = "sim-secret-access-key"  # noqa: S105  # opens nothing: the one key pair that the simulated Bedrock knows unless told others


class Options(msgspec.Struct, frozen=True):
    """How a simulator is set up."""

    deployments: Mapping[str, str] = MappingProxyType({})
    """Azure's deployments by name, and the model behind each; others by the rule in `azure.py`."""
    aws_keys: Mapping[str, str] = MappingProxyType({TEST_ACCESS_KEY: TEST_SECRET_KEY})
    """The secrets of AWS access keys, whose signatures are checked."""


PLAIN_OPTIONS = Options()


def described(deployments: Iterable[str], aws_keys: Iterable[str]) -> Options:
    """What a command line says: `NAME=MODEL` for each deployment, `ID:SECRET` for each key; the test key where there is none. Raises ValueError."""
    return Options(
        deployments=_pairs(deployments, "=", "NAME=MODEL"),
        aws_keys=_pairs(aws_keys, ":", "ID:SECRET") or PLAIN_OPTIONS.aws_keys,
    )


def _pairs(written: Iterable[str], sign: str, shape: str) -> dict[str, str]:
    found = {}
    for pair in written:
        name, separator, value = pair.partition(sign)
        if not (name and separator and value):
            raise ValueError(f"{pair!r} is not {shape}")
        found[name] = value
    return found
