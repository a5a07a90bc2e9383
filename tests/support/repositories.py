"""Real git repositories in a temporary folder, with their own settings and a clock that is told."""

import os
import subprocess
from datetime import datetime
from pathlib import Path

from tests.support.builders import NOW, Files

ANA = ("Ana Lima", "ana@example.com")
BEN = ("Ben Okafor", "ben@example.com")
MERGER = ("Merge Button", "merge@example.com")


def environment(home: Path) -> dict[str, str]:
    """What git sees: nothing of the machine's own settings."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": str(home / "no-such-file"),
    }


class Repository:
    """A work tree. Every change is a commit by somebody at an instant."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.environment = environment(path.parent)

    @classmethod
    def create(cls, path: Path) -> "Repository":
        path.mkdir(parents=True)
        made = cls(path)
        made.git("init", "--quiet", "--initial-branch=main")
        return made

    def git(
        self,
        *arguments: str,
        who: tuple[str, str] = ANA,
        committer: tuple[str, str] | None = None,
        when: datetime = NOW,
    ) -> str:
        by = committer or who
        stamp = f"{int(when.timestamp())} +0000"
        people = {
            "GIT_AUTHOR_NAME": who[0],
            "GIT_AUTHOR_EMAIL": who[1],
            "GIT_AUTHOR_DATE": stamp,
            "GIT_COMMITTER_NAME": by[0],
            "GIT_COMMITTER_EMAIL": by[1],
            "GIT_COMMITTER_DATE": stamp,
        }
        done = subprocess.run(
            ["git", "-c", "protocol.file.allow=always", *arguments],
            cwd=self.path,
            env=self.environment | people,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def write(self, files: Files, folder: str = "") -> None:
        """Makes the YAML under `folder` exactly `files`."""
        top = self.path / folder
        for old in top.glob("*/*.y*ml"):
            old.unlink()
        for path, content in files.items():
            target = top / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)

    def commit(
        self,
        files: Files | None = None,
        *,
        folder: str = "",
        who: tuple[str, str] = ANA,
        committer: tuple[str, str] | None = None,
        when: datetime = NOW,
    ) -> str:
        """Commits `files` (None: what stands in the work tree) and answers the commit."""
        if files is not None:
            self.write(files, folder)
        self.git("add", "--all")
        message = ("commit", "--quiet", "--allow-empty", "-m", "change")
        self.git(*message, who=who, committer=committer, when=when)
        return self.head

    @property
    def head(self) -> str:
        return self.git("rev-parse", "HEAD")

    def clone(self, path: Path, *options: str) -> "Repository":
        self.git("clone", "--quiet", *options, f"file://{self.path}", str(path))
        return Repository(path)

    def files(self, folder: str = "") -> Files:
        """The YAML under `folder`, as `ingest` is given it."""
        top = self.path / folder
        found = [*top.glob("*/*.yaml"), *top.glob("*/*.yml"), *top.glob("iam-ledger.yaml")]
        return {path.relative_to(top).as_posix(): path.read_bytes() for path in found}
