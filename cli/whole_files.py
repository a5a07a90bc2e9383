"""Files that are written whole or not at all."""

import os
import tempfile
from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Puts `content` in the place of what stands at `path`, safe on the disk. OSError."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name[:200]}.", dir=path.absolute().parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)  # as others may read it; what is in it is no secret of ours
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
