"""Debian's podman without an engine, a registry or a network of its own, in a folder of its own.

What was tried and works: runc, since crun refuses mixed cgroups; vfs, which needs no rights; no
layers kept, since vfs copies each. A container's network is the machine's, or none.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.support.separate import ENVIRONMENTS

SUITE = "bookworm"
PACKAGES = "python3,python3-venv,ca-certificates"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
LIMITS = ("--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024")
COMMAND_MAX_S = 600

Ended = subprocess.CompletedProcess[str]


@dataclass(frozen=True, slots=True)
class Podman:
    """Its images and containers, all in `folder`."""

    folder: Path

    @classmethod
    @contextmanager
    def with_a_base(cls, folder: Path) -> Iterator["Podman"]:
        """Has an image `base`: a bare Debian with Python, which trusts what this machine trusts."""
        made = cls(folder)
        recipe = folder / "base"
        recipe.mkdir()
        shutil.copy(_root_file_system(), recipe / "root.tar")
        shutil.copy(CERTIFICATES, recipe / "certificates.crt")
        (recipe / "Containerfile").write_text(
            "FROM scratch\nADD root.tar /\n"
            f"COPY certificates.crt {CERTIFICATES}\nENV PIP_CERT={CERTIFICATES}\n"
        )
        try:
            made.build("--tag", "base", str(recipe))
            yield made
        finally:
            made("system", "reset", "--force")

    def __call__(self, *arguments: str) -> Ended:
        where = (f"--root={self.folder / 'root'}", f"--runroot={self.folder / 'run'}")
        how = ("--storage-driver=vfs", "--cgroup-manager=cgroupfs", "--runtime=runc")
        return subprocess.run(
            ["podman", *where, *how, *arguments],
            cwd=ENVIRONMENTS.parent,
            env=os.environ | {"TMPDIR": str(self.folder)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_MAX_S,
        )

    def build(self, *arguments: str) -> None:
        """`podman build`, whose base is here already."""
        here = ("--isolation=chroot", "--network=host", "--pull=never", "--layers=false")
        built = self("build", *here, *arguments)
        assert built.returncode == 0, built.stdout[-3_000:] + built.stderr[-3_000:]

    def run(self, *arguments: str) -> Ended:
        return self("run", "--rm", *LIMITS, *arguments)

    @contextmanager
    def running(self, *arguments: str) -> Iterator[str]:
        """A container in the background, by its name; gone at the end."""
        name = f"iam-ledger-{uuid4().hex[:8]}"
        began = self("run", "--detach", "--name", name, *LIMITS, *arguments)
        assert began.returncode == 0, began.stderr
        try:
            yield name
        finally:
            self("rm", "--force", "--time", "0", name)

    def inspect(self, image: str) -> Any:
        return json.loads(self("image", "inspect", image).stdout)[0]

    def exit_code(self, container: str) -> int:
        return int(
            self("container", "inspect", "--format", "{{.State.ExitCode}}", container).stdout
        )

    def said(self, container: str) -> str:
        logs = self("logs", container)
        return logs.stdout + logs.stderr


def _root_file_system() -> Path:
    """A tar of it, made once a checkout: half a minute, from where apt gets its packages."""
    kept = ENVIRONMENTS / f"{SUITE}.tar"
    if not kept.exists():
        folder = ENVIRONMENTS / SUITE
        shutil.rmtree(folder, ignore_errors=True)
        include = ("--variant=minbase", f"--include={PACKAGES}")
        subprocess.run(["debootstrap", *include, SUITE, folder, _mirror()], check=True)
        unfinished = kept.with_suffix(".new")
        subprocess.run(["tar", "-C", folder, "-cf", unfinished, "."], check=True)
        shutil.rmtree(folder)
        unfinished.rename(kept)
    return kept


def _mirror() -> str:
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI)", "Created-By: Packages"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    found = [line.split()[1] for line in listed if line.split()[0] == SUITE]
    assert found, f"apt knows no place that has {SUITE}"
    return found[0]
