"""Virtual environments beside this project's, for programs whose requirements are not ours.

Each is made at its first use from a file of pinned and hashed requirements, and made anew where
that file has changed. That takes seconds and a package index: no test of every day asks for one.
"""

import fcntl
import subprocess
import sys
from pathlib import Path
from shutil import rmtree

ENVIRONMENTS = Path(__file__).parents[2] / ".venv"


def python(requirements: Path) -> Path:
    """The interpreter of the environment that `requirements` asks for, called by its name."""
    environment = ENVIRONMENTS / requirements.stem
    environment.parent.mkdir(exist_ok=True)
    with environment.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made_from = environment / "made_from"
        wanted = f"{sys.version}\n{requirements.read_text(encoding='utf-8')}"
        if not made_from.exists() or made_from.read_text(encoding="utf-8") != wanted:
            _make(environment, requirements)
            made_from.write_text(wanted, encoding="utf-8")
    return environment / "bin" / "python"


def _make(environment: Path, requirements: Path) -> None:
    rmtree(environment, ignore_errors=True)
    interpreter = Path(sys.base_prefix) / "bin" / Path(sys.executable).resolve().name
    subprocess.run([interpreter, "-m", "venv", environment], check=True, timeout=300)
    install = ["-m", "pip", "install", "--quiet", "--no-input", "--no-deps", "--require-hashes"]
    installed = subprocess.run(
        [environment / "bin" / "python", *install, "-r", requirements],
        check=False,
        timeout=600,
        capture_output=True,
        text=True,
    )
    assert installed.returncode == 0, installed.stderr[-4_000:]
