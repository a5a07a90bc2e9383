"""A configuration directory on disk, as the bytes that `ledger.manifest.read` wants.

Invariant: what cannot be read stops everything. A file left out would look like access withdrawn.
Nothing outside of the directory is read: problems are printed with the text around them, and a link
in a pull request must not print a CI machine's secrets.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cli.exits import Exit, Stop
from ledger.manifest.layout import FOLDERS, SETTINGS_FILE, SUFFIXES
from ledger.manifest.sheet import SIZE_MAX_BYTES

FILES_MAX = 10_000
"""In the four folders together: more is another directory than was meant."""


@dataclass(frozen=True, slots=True)
class Files:
    """What stands in a configuration directory."""

    config: Path
    files: dict[str, bytes]
    """Relative POSIX path -> content. Files that are not YAML have their names only."""
    others: tuple[str, ...]
    """Names of what else stands at the top."""

    @property
    def empty(self) -> bool:
        """Whether nothing of ours stands here: no folder, no settings."""
        return not self.files and not set(FOLDERS) & set(self.others)

    @property
    def teams(self) -> frozenset[str]:
        """Whose files they are."""
        paths = (path for path in self.files if "/" in path and path.endswith(SUFFIXES))
        return frozenset(PurePosixPath(path).stem for path in paths)


def read_directory(config: Path) -> Files:
    """All of `config`; Stop (78) naming whatever cannot be read."""
    try:
        found, there = config.is_dir(), config.exists()
    except OSError as error:
        raise Stop(Exit.CONFIGURATION, f"{config} cannot be read: {_reason(error)}") from None
    if not found:
        what = "is not a directory" if there else "does not exist"
        raise Stop(
            Exit.CONFIGURATION,
            f"{config} {what}; name the folder that holds {', '.join(f'{f}/' for f in FOLDERS)}",
        )
    files: dict[str, bytes] = {}
    names = _names(config)
    stem = SETTINGS_FILE.removesuffix(SUFFIXES[0])
    for name in names:
        if name in {stem + suffix for suffix in SUFFIXES}:
            files[name] = _content(_within(config, config / name))
    for folder in FOLDERS:
        if folder in names:
            _read_folder(config, folder, files)
    return Files(config, files, tuple(name for name in names if name not in files))


def wrong_directory(config: Path) -> Stop:
    """For a directory with nothing of ours in it."""
    folders = ", ".join(f"{folder}/" for folder in FOLDERS)
    return Stop(
        Exit.CONFIGURATION,
        f"{config} holds none of {folders}: is it the right directory? Nothing was done",
    )


def _within(config: Path, path: Path) -> Path:
    """`path`, unless it leads out of `config`, or into what git keeps beside it (tokens, in CI).

    A link to another place in the directory is as good as the file: mounted ConfigMaps are that.
    """
    if not path.is_symlink():
        return path  # its folder was looked at before
    top, real = Path(os.path.realpath(config)), Path(os.path.realpath(path))
    if real.is_relative_to(top) and ".git" not in real.relative_to(top).parts:
        return path
    raise Stop(
        Exit.CONFIGURATION,
        f"{path} is a link that leads out of {config}; what it leads to was not read, and nothing "
        "was done. Put the file itself in its place",
    )


def _read_folder(config: Path, folder: str, files: dict[str, bytes]) -> None:
    path = _within(config, config / folder)
    if not path.is_dir():
        raise Stop(Exit.CONFIGURATION, f"{path} is a file; it must be the folder of teams' files")
    for name in _names(path):
        ours = name.endswith(SUFFIXES) and not name.startswith(".")
        if not ours and not (path / name).is_file():
            continue
        if len(files) >= FILES_MAX:
            many = f"{path}: more than {FILES_MAX} files; is it the right directory?"
            raise Stop(Exit.CONFIGURATION, many)
        files[f"{folder}/{name}"] = _content(_within(config, path / name)) if ours else b""


def _names(folder: Path) -> list[str]:
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise Stop(Exit.CONFIGURATION, f"{folder} cannot be read: {_reason(error)}") from None
    for name in names:
        if any("\ud800" <= character <= "\udfff" for character in name):
            raise Stop(Exit.CONFIGURATION, f"{folder} holds a name that is not UTF-8: {name!a}")
    return names


def _content(path: Path) -> bytes:
    """The file's bytes, one more than may be read of a file that is too large."""
    try:
        kind = path.stat().st_mode
        if not stat.S_ISREG(kind):
            what = "a folder" if stat.S_ISDIR(kind) else "not a regular file"
            raise Stop(Exit.CONFIGURATION, f"{path} is {what}; it must be a YAML file")
        with path.open("rb") as handle:
            return handle.read(SIZE_MAX_BYTES + 1)
    except OSError as error:
        raise Stop(Exit.CONFIGURATION, f"{path} cannot be read: {_reason(error)}") from None


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
