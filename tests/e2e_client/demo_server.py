"""An MCP server on standard input and output, as small as can be: one tool that adds, one that fails."""

import json
import sys
from typing import Any

_PROTOCOL = "2025-06-18"
_NUMBER, _TEXT = {"type": "integer"}, {"type": "string"}
_TOOLS = {"add": {"a": _NUMBER, "b": _NUMBER}, "boom": {"why": _TEXT}}


def result_of(method: str, given: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to a request; KeyError for a method that is unknown."""
    if method == "initialize":
        return {
            "protocolVersion": given.get("protocolVersion", _PROTOCOL),
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "demo", "version": "1"},
        }
    if method == "ping":
        return {}
    if method == "tools/list":
        return {
            "tools": [
                {"name": name, "inputSchema": {"type": "object", "properties": fields, "required": [*fields]}}
                for name, fields in _TOOLS.items()
            ]
        }
    return {"tools/call": _call}[method](**given)


def _call(name: str, arguments: dict[str, Any], **_more: Any) -> dict[str, Any]:
    if name == "add":
        return {"content": [{"type": "text", "text": str(arguments["a"] + arguments["b"])}], "isError": False}
    return {"content": [{"type": "text", "text": f"boom: {arguments['why']}"}], "isError": True}


def main() -> None:
    """Answer until the input ends."""
    for line in sys.stdin:
        request = json.loads(line)
        if "id" not in request:
            continue
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": request["id"]}
        try:
            answer["result"] = result_of(request.get("method", ""), request.get("params") or {})
        except KeyError:
            answer["error"] = {"code": -32601, "message": "no such method"}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
