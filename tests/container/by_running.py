"""The image is built as the page says and run as the composition says, with no Docker engine.

`scripts/container` runs it: podman of Debian, on a base made by debootstrap, since no image can be
fetched here. The ledger is a PostgreSQL set up by the composition's own script; AWS is moto's
server.
"""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest
import yaml
from sqlalchemy import URL

from tests.acceptance.small import PROD, files, window
from tests.container.podman import Podman
from tests.docs.pages import page
from tests.support.commands import Shell, StillClock
from tests.support.moto_server import ENVIRONMENT, MotoServer
from tests.support.postgres import binaries, started
from tests.support.processes import until
from tests.walls.tree import ROOT

COMPOSE = ROOT / "deploy" / "compose"
SERVICES: dict[str, Any] = yaml.safe_load((COMPOSE / "compose.yaml").read_text())["services"]
COMMANDS = next(block for block in page("docs/deployment.md").blocks if block.language == "sh").text
BUILD, VERSION = [shlex.split(line) for line in COMMANDS.splitlines()]
IMAGE_MAX_BYTES = 200_000_000
"""Over its base."""

PORT = 9464
"""The image's own, which its health check asks; the network is the machine's."""


@pytest.fixture(scope="session")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    with Podman.with_a_base(tmp_path_factory.mktemp("podman")) as made:
        words = ["BASE=localhost/base" if word.startswith("BASE=") else word for word in BUILD[2:]]
        made.build(*words)
        yield made


def test_the_image_starts_as_the_page_says(podman: Podman) -> None:
    assert VERSION[:3] == ["podman", "run", "--rm"]
    ran = podman.run("--network=none", *VERSION[3:])
    assert (ran.returncode, ran.stdout.split()[0]) == (0, "iam-ledger"), ran.stderr


def test_the_image_holds_what_runs_and_little_else(podman: Podman) -> None:
    image = podman.inspect("iam-ledger")
    assert image["Config"]["User"] == "65532:65532"
    assert image["Healthcheck"]["Test"][:2] == ["CMD", "python"]
    assert image["Size"] - podman.inspect("base")["Size"] < IMAGE_MAX_BYTES
    for absent in ("git", "pip", "uv", "pytest", "gcc"):
        ran = podman.run("--network=none", "--entrypoint", absent, "iam-ledger", "--version")
        assert ran.returncode == 127, f"{absent} is there"


def test_it_can_write_where_a_volume_is_and_nowhere_else(podman: Podman, tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    os.chown(volume, 65532, 65532)
    bare = ("--network=none", "--read-only", "--cap-drop=all")
    refused = podman.run(*bare, "iam-ledger", "migrate")
    assert refused.returncode != 0
    ran = podman.run(*bare, "--volume", f"{volume}:/var/lib/iam-ledger", "iam-ledger", "migrate")
    assert ran.returncode == 0, ran.stderr
    assert (volume / "iam-ledger.db").stat().st_uid == 65532


# --- the composition ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Composition:
    """Its services, each as `podman run` starts it; the database's socket is mounted."""

    podman: Podman
    aws: str
    socket: Path
    secrets: Path

    def arguments(self, name: str) -> list[str]:
        service = SERVICES[name]
        assert service["read_only"]
        mounted = [f"--volume={self.socket}:{self.socket}"]
        mounted += [
            f"--volume={self.secrets / secret}:/run/secrets/{secret}:ro"
            for secret in service["secrets"]
        ]
        told = {key: self._told(key, value) for key, value in service["environment"].items()}
        return [
            "--network=host",
            "--read-only",
            *(f"--cap-drop={each}" for each in service["cap_drop"]),
            *(f"--security-opt={each.partition(':')[0]}" for each in service["security_opt"]),
            *mounted,
            *(f"--env={key}={value}" for key, value in told.items()),
            "iam-ledger",
            *service.get("command", ()),
        ]

    def _told(self, key: str, value: str | None) -> str:
        if key == "IAM_LEDGER_DATABASE_URL":
            assert value is not None
            address, host = re.subn("@postgres/", "@/", value)
            assert host == 1
            return f"{address}?host={self.socket}"
        if value is None:
            return {**ENVIRONMENT, "AWS_ENDPOINT_URL": self.aws}[key]
        return value


@pytest.fixture
def composition(
    podman: Podman, moto_server: MotoServer, tmp_path: Path
) -> Iterator[tuple[Composition, URL]]:
    folder = tmp_path / "compose"
    shutil.copytree(COMPOSE, folder, ignore=shutil.ignore_patterns("secrets"))
    subprocess.run(["sh", folder / "secrets.sh"], check=True)
    passwords = "local all postgres trust\nlocal all all scram-sha-256\n"
    with started(
        files={"compose_hba.conf": passwords.encode()},
        settings={"hba_file": "data/compose_hba.conf"},
    ) as server:
        where = Path(str(server.admin.query["host"]))
        where.chmod(0o711)
        path = f"{binaries()}:{os.environ['PATH']}"
        told = {"PATH": path, "PGHOST": str(where), "SECRETS": str(folder / "secrets")}
        subprocess.run(["sh", folder / "roles.sh"], check=True, env=told)
        made = Composition(podman, moto_server.url, where, folder / "secrets")
        yield made, server.url("ledger")


def test_the_composition_migrates_works_is_healthy_and_ends_when_told(
    composition: tuple[Composition, URL], moto_server: MotoServer, tmp_path: Path
) -> None:
    services, url = composition
    ana = moto_server.add(PROD, "user/ana")
    migrated = services.podman.run(*services.arguments("migrate"))
    assert migrated.returncode == 0, migrated.stderr
    assert "ledger_auditor: may do what audit needs" in migrated.stdout

    password = (services.secrets / "ingest_password").read_text()
    ci = Shell(url.set(username="ledger_ingest", password=password), StillClock(datetime.now(UTC)))
    with services.podman.running(*services.arguments("worker")) as worker:
        until(lambda: answers(f"http://127.0.0.1:{PORT}/readyz"), "the worker is ready")
        assert services.podman("healthcheck", "run", worker).returncode == 0
        ingested = ci.run("ingest", written(tmp_path / "access"))
        assert ingested.code == 0, ingested.err
        until(lambda: bool(moto_server.inline(PROD, ana)), "the grant is applied")
        stopped = services.podman("stop", "--time", "60", worker)
        assert stopped.returncode == 0, stopped.stderr
        assert services.podman.exit_code(worker) == 0
        assert '"worker_stopped"' in services.podman.said(worker)


def written(folder: Path) -> Path:
    for path, content in files(window("ana"), pipeline=False).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=5) as answer:  # noqa: S310  # our own container
            return bool(answer.status == 200)
    except (URLError, ConnectionError):
        return False
