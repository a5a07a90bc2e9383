"""Prometheus as Debian packages it: promtool, and a server of our own on a port that it picks."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

from tests.support.processes import until
from tests.walls.tree import ROOT

RULES = ROOT / "deploy" / "prometheus" / "alerts.yaml"
CONFIGURATION = ROOT / "deploy" / "prometheus" / "prometheus.yaml"
STARTS_MAX_S = 60.0
READY = "Server is ready to receive web requests"
LISTENING = re.compile(r'msg="Listening on" address=127\.0\.0\.1:(\d+)')


def program(name: str) -> str:
    """Where `prometheus` or `promtool` is; a test that needs one fails without it."""
    found = shutil.which(name)
    assert found is not None, f"needs {name}; on Debian and Ubuntu: apt-get install prometheus"
    return found


def promtool(*arguments: object, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program("promtool"), *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@dataclass(slots=True)
class Server:
    """One that runs."""

    port: int

    def get(self, path: str, **parameters: str) -> Any:
        """What the HTTP API answers; AssertionError with Prometheus's own words where it errs."""
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urlencode(parameters)}"
        try:
            with urlopen(url, timeout=30) as answer:
                return json.load(answer)["data"]
        except HTTPError as error:
            with error:
                raise AssertionError(f"{parameters}: {error.read().decode()}") from None

    def ask(self, expression: str) -> list[Any]:
        """The series that `expression` gives now."""
        found: list[Any] = self.get("query", query=expression)["result"]
        return found


@contextmanager
def running(folder: Path, *, targets: list[str]) -> Iterator[Server]:
    """A server that asks `targets` every second, with our rules. It takes whatever port is free."""
    settings = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [
            {"job_name": "iam-ledger", "static_configs": [{"targets": targets}]},
        ],
    }
    (folder / "prometheus.yaml").write_text(json.dumps(settings), encoding="utf-8")
    log = folder / "prometheus.log"
    with log.open("wb") as said:
        process = subprocess.Popen(
            [
                program("prometheus"),
                f"--config.file={folder / 'prometheus.yaml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                "--web.listen-address=127.0.0.1:0",
            ],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )
    try:

        def listens() -> bool:
            assert process.poll() is None, log.read_text(encoding="utf-8")
            text = log.read_text(encoding="utf-8")
            return LISTENING.search(text) is not None and READY in text

        until(listens, "Prometheus listens", limit_s=STARTS_MAX_S)
        found = LISTENING.search(log.read_text(encoding="utf-8"))
        assert found is not None
        yield Server(int(found[1]))
    finally:
        process.kill()
        process.wait()
