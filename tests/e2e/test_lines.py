"""The log: one line per settled call, in text for people or JSON for machines, never a key or a body, none lost when the gateway stops."""

import json
from pathlib import Path

import pytest

from support.house import open_house


@pytest.mark.parametrize("form", ["text", "json"])
async def test_every_settled_call_has_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str) -> None:
    """With what it cost and how long it took; lines are written together, and the last ones when the gateway stops."""
    async with open_house(tmp_path, {"log": {"requests": True, "format": form}}) as house:
        secret = await house.customer()
        for _ in range(3):
            assert (await house.chat(secret)).status_code == 200
        charges = house.charges()
    written = capsys.readouterr().err
    assert secret not in written
    lines = [line for line in written.splitlines() if "charged" in line]
    assert len(lines) == len(charges) == 3
    for line, charge in zip(lines, charges, strict=True):
        if form == "json":
            said = json.loads(line)
            assert said["timestamp"].startswith("20")
            assert said["timestamp"].endswith("Z")
        else:
            stamp, level, event, *pairs = line.replace("[info     ]", "info").split()
            assert (stamp[:2], stamp[-1], level, event) == ("20", "Z", "info", "charged")
            said = dict(pair.split("=", 1) for pair in pairs)
        assert (said["request"], said["key"], said["outcome"]) == (charge.request_id, charge.key, "answered")
        assert int(float(said["price_usd"]) * 1e9 + 0.5) == charge.price
        assert 0 < int(said["input"]) < int(said["input_max"])
