"""A tool for a coding agent: a server of the Model Context Protocol over its standard streams, with one tool that notes each use in a file.

Run as `tool_server.py FILE`; needs nothing but Python.
"""

import json
import sys
from pathlib import Path
from typing import Any

TOOL: dict[str, Any] = {
    "name": "look_up",
    "description": "Looks something up.",
    "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
}


def answer(method: str, params: dict[str, Any], notes: Path) -> dict[str, Any]:
    """The result of one request; the protocol's version is whichever the client speaks."""
    if method == "initialize":
        server = {"name": "desk", "version": "1"}
        return {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": server}
    if method == "tools/list":
        return {"tools": [TOOL]}
    if method == "tools/call":
        with notes.open("a") as file:
            file.write(params["arguments"]["text"] + "\n")
        return {"content": [{"type": "text", "text": "found: a fare box"}]}
    return {}


if __name__ == "__main__":
    for line in sys.stdin:
        told = json.loads(line)
        if "id" in told:  # the others are notices
            result = answer(told["method"], told.get("params") or {}, Path(sys.argv[1]))
            print(json.dumps({"jsonrpc": "2.0", "id": told["id"], "result": result}), flush=True)
