"""The language server that editors ask about YAML, spoken to as an editor does: LSP over stdio.

Invariant: nothing waits without a bound, and a server that ends early is an error.
"""

import json
import queue
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ANSWERS_MAX_S = 60.0
NODE = Path(__file__).with_name("node")
SERVER = NODE / "node_modules" / "yaml-language-server" / "bin" / "yaml-language-server"

SETTINGS = {
    "yaml": {
        "validate": True,
        "hover": True,
        "completion": True,
        "schemaStore": {"enable": False, "url": ""},
        "kubernetesCRDStore": {"enable": False},
    },
    "[yaml]": {},
    "editor": {},
    "files": {},
    "http": {},
}
"""By section: no catalogue is fetched from anywhere, so that the modeline alone names a schema."""


@dataclass
class Server:
    """One server process and what it has said of each file."""

    process: "subprocess.Popen[bytes]"
    said: "queue.Queue[dict[str, Any] | None]" = field(default_factory=queue.Queue)
    diagnostics: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    last_id: int = 0
    listener: threading.Thread = field(init=False)

    @classmethod
    def start(cls, top: Path) -> "Server":
        process = subprocess.Popen(
            ["node", SERVER, "--stdio"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        server = cls(process)
        server.listener = threading.Thread(target=server._listen, daemon=True)
        server.listener.start()
        server.ask(
            "initialize",
            {
                "processId": None,
                "rootUri": top.as_uri(),
                "workspaceFolders": [{"uri": top.as_uri(), "name": "top"}],
                "capabilities": {
                    "workspace": {"configuration": True, "workspaceFolders": True},
                    "textDocument": {
                        "hover": {"contentFormat": ["plaintext"]},
                        "completion": {"completionItem": {"snippetSupport": False}},
                    },
                },
            },
        )
        server._tell("initialized", {})
        server._tell("workspace/didChangeConfiguration", {"settings": SETTINGS})
        return server

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self.listener.join(ANSWERS_MAX_S)
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()

    # --- what an editor does -------------------------------------------------------------------

    def open(self, path: Path, text: str) -> list[dict[str, Any]]:
        """What is marked in a file with this text; each file is opened once."""
        uri = path.as_uri()
        assert uri not in self.diagnostics
        document = {"uri": uri, "languageId": "yaml", "version": 1, "text": text}
        self._tell("textDocument/didOpen", {"textDocument": document})
        while uri not in self.diagnostics:
            self._take()
        return self.diagnostics[uri]

    def hover(self, path: Path, line: int, column: int) -> str:
        """What is told of the place under the mouse, 0-based; empty where nothing is."""
        found = self.ask("textDocument/hover", _place(path, line, column))
        contents = "" if found is None else found["contents"]
        return contents["value"] if isinstance(contents, dict) else str(contents)

    def completions(self, path: Path, line: int, column: int) -> list[str]:
        """What is offered at that place."""
        found = self.ask("textDocument/completion", _place(path, line, column))
        items = found["items"] if isinstance(found, dict) else found or []
        return [item["label"] for item in items]

    # --- the protocol --------------------------------------------------------------------------

    def ask(self, method: str, params: dict[str, Any]) -> Any:
        self.last_id += 1
        asked = self.last_id
        self._send({"id": asked, "method": method, "params": params})
        while True:
            message = self._take()
            if message.get("id") == asked and "method" not in message:
                assert "error" not in message, message
                return message.get("result")

    def _tell(self, method: str, params: dict[str, Any]) -> None:
        self._send({"method": method, "params": params})

    def _take(self) -> dict[str, Any]:
        """The next message, after answering what the server asks of an editor."""
        message = self.said.get(timeout=ANSWERS_MAX_S)
        assert message is not None, "the server ended"
        if message.get("method") == "textDocument/publishDiagnostics":
            self.diagnostics[message["params"]["uri"]] = message["params"]["diagnostics"]
        elif "method" in message and "id" in message:
            result: Any = None
            if message["method"] == "workspace/configuration":
                sections = [item.get("section", "") for item in message["params"]["items"]]
                result = [SETTINGS.get(section) for section in sections]
            self._send({"id": message["id"], "result": result})
        return message

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self.process.stdin is not None
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self.process.stdin.flush()

    def _listen(self) -> None:
        """Every message, in order, to `said`; None when there are no more."""
        stream = self.process.stdout
        assert stream is not None
        while True:
            length = 0
            while (line := stream.readline().strip()) != b"":
                name, _, value = line.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
            if length == 0:
                self.said.put(None)
                return
            self.said.put(json.loads(stream.read(length)))


def _place(path: Path, line: int, column: int) -> dict[str, Any]:
    return {
        "textDocument": {"uri": path.as_uri()},
        "position": {"line": line, "character": column},
    }
