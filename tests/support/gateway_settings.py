"""Settings of a gateway for a test. Apart from `house`, so that a process that only runs a gateway need not import two SDKs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from farebox.settings import Settings, load
from farebox.sim.options import TEST_ACCESS_KEY, TEST_SECRET_KEY


def settings_for(folder: Path, sim_url: str, more: Mapping[str, Any] | None = None) -> Settings:
    """Settings of a gateway on a folder of its own, with every provider simulated."""
    values: dict[str, Any] = {
        "server": {"listen": "127.0.0.1:0"},
        "store": {"url": f"sqlite:///{folder}/farebox.db"},
        "providers": {
            "openai": {"api_key": "sk-upstream", "base_url": f"{sim_url}/v1"},
            "anthropic": {"api_key": "sk-upstream", "base_url": sim_url},
            "gemini": {"api_key": "sk-upstream", "base_url": sim_url},
            "elevenlabs": {"api_key": "sk-upstream", "base_url": sim_url},
            "bedrock": {"api_key": TEST_SECRET_KEY, "access_key_id": TEST_ACCESS_KEY, "region": "us-east-1", "base_url": sim_url},
        },
        "log": {"requests": False},
    }
    for name, section in (more or {}).items():
        known = values.setdefault(name, {})
        for field, value in section.items():
            known[field] = {**known.get(field, {}), **value} if isinstance(value, Mapping) else value
    return load(flags=values).settings
