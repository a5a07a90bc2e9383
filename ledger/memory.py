"""Memory, where much is read at once and kept.

Python looks for rings of objects that nobody holds, again and again through all that lives, the
more often the more is made. What a directory or a ledger is read into makes no rings: there the
looking finds nothing, and takes a third of the time.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def kept() -> Iterator[None]:
    """Meanwhile nobody looks for rings, in the whole process; afterwards as before.

    For commands that do one thing and end, not for what goes on for ever. Rings that are made
    meanwhile stay until then.
    """
    looked = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if looked:
            gc.enable()
