"""GitHub's REST API as far as action.yml asks it, on loopback, and the action's program.

The answers have the shape of those in GitHub's reference of the version 2022-11-28, without what
nobody here reads; none was recorded from GitHub itself.
"""

import importlib.util
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import ModuleType
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.walls.tree import ROOT

SCRIPT = ROOT / "deploy" / "github" / "action.py"
REPOSITORY = "example-org/access"
TOKEN = "a-token-of-the-job"
PAGE = f"https://github.com/{REPOSITORY}/pull"

Item = dict[str, Any]


def action() -> ModuleType:
    """The program, as a module."""
    spec = importlib.util.spec_from_file_location("iam_ledger_action", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


def pull(number: int, *, head: str, merged_as: str | None) -> Item:
    """A pull request; `merged_as`: the commit that its merge made, None while it is open."""
    return {
        "number": number,
        "html_url": f"{PAGE}/{number}",
        "state": "open" if merged_as is None else "closed",
        "merged_at": None if merged_as is None else "2026-03-02T08:59:30Z",
        "merge_commit_sha": merged_as,
        "head": {"ref": "ask", "sha": head},
        "base": {"ref": "main"},
    }


def review(who: str | None, state: str, commit: str) -> Item:
    """`who` None: the account was deleted since."""
    user = None if who is None else {"login": who, "type": "User"}
    return {"user": user, "state": state, "commit_id": commit, "body": ""}


def comment(number: int, body: str, kind: str = "Bot") -> Item:
    return {"id": number, "body": body, "user": {"login": "somebody", "type": kind}}


@dataclass
class GitHub:
    """What it holds, and what it was asked."""

    url: str = ""
    lists: dict[str, list[Item]] = field(default_factory=dict)
    """Path below the repository -> the items of that list."""
    answers: dict[str, int] = field(default_factory=dict)
    """Path -> the status that is answered there instead."""
    busy: list[int] = field(default_factory=list)
    """Statuses that are answered first, whatever is asked."""
    asked: list[str] = field(default_factory=list)
    written: list[tuple[str, str, Item]] = field(default_factory=list)

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, Any]:
        whole = urlsplit(target)
        path = whole.path.removeprefix(f"/repos/{REPOSITORY}/")
        self.asked.append(f"{method} {path}")
        if self.busy:
            return self.busy.pop(0), {"message": "busy"}
        if path in self.answers:
            return self.answers[path], {"message": "no"}
        if method != "GET":
            self.written.append((method, path, json.loads(body)))
            return 201, {}
        if path not in self.lists:
            return 404, {"message": "Not Found"}
        query = parse_qs(whole.query)
        size, page = int(query["per_page"][0]), int(query["page"][0])
        return 200, self.lists[path][size * (page - 1) : size * page]


@contextmanager
def github() -> Iterator[GitHub]:
    """One that listens, and asks for the job's token."""
    held = GitHub()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            if self.headers["Authorization"] != f"Bearer {TOKEN}":
                status, said = 401, {"message": "Bad credentials"}
            else:
                status, said = held.answer(self.command, self.path, body)
            data = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = _answer  # noqa: N815  as http.server calls them

        def log_message(self, *_: Any) -> None:
            """Nothing: a test reads `asked`."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    held.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield held
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
