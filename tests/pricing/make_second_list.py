"""Makes second_list.json.gz: the prices of litellm's table that the cross-check reads, out of a pinned wheel that is never installed or imported.

    pip download --no-deps --dest WHERE litellm==1.109.1
    python tests/pricing/make_second_list.py WHERE/litellm-1.109.1-*.whl

The wheels of all platforms carry the same table; its sha256 is pinned here. Numbers are kept as the table writes them.
"""

import gzip
import hashlib
import json
import sys
import zipfile
from pathlib import Path

VERSION = "1.109.1"
MEMBER = "litellm/model_prices_and_context_window_backup.json"
SHA256 = "8f8060d8ce7a40c91b995c74d6a27657543d49e3c1c53430dabd556f244392c6"
LICENSE = "litellm-LICENSE.txt"
PROVIDERS = frozenset(
    (
        *("anthropic", "azure", "bedrock", "bedrock_converse", "elevenlabs", "gemini", "groq", "mistral", "openai", "perplexity", "xai"),
        *("text-completion-openai", "vertex_ai-anthropic_models"),
    )
)
WANTED = ("cost", "multiplier", "provider_specific_entry", "web_search_billing_unit")
TARGET = Path(__file__).with_name("second_list.json.gz")


def slim(table: bytes) -> dict[str, dict[str, object]]:
    """The prices of the models of our providers: no other column."""
    rows = json.loads(table, parse_float=str, parse_int=str)
    return {
        name: {column: value for column, value in row.items() if column == "litellm_provider" or any(word in column for word in WANTED)}
        for name, row in sorted(rows.items())
        if row.get("litellm_provider") in PROVIDERS
    }


def main(wheel: str) -> None:
    """Write the file, byte for byte the same from the same table."""
    with zipfile.ZipFile(wheel) as archive:
        table = archive.read(MEMBER)
    found = hashlib.sha256(table).hexdigest()
    if found != SHA256:
        sys.exit(f"{MEMBER} of {wheel} is not the pinned one: sha256 {found}")
    origin = {"package": "litellm", "version": VERSION, "member": MEMBER, "sha256": SHA256, "license": f"MIT, see {LICENSE}"}
    text = json.dumps({"origin": origin, "models": slim(table)}, separators=(",", ":"), sort_keys=True)
    TARGET.write_bytes(gzip.compress(text.encode(), mtime=0))


if __name__ == "__main__":
    main(sys.argv[1])
