"""A lock on a run folder, so that two programs do not train in it at the same time."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from .errors import CommandError
from .run_folder import LOCK_FILE

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

_NO_LOCK = (
    "Note: this {} has no locks for files. See to it that no other training writes to this folder."
)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds the lock of a folder, which the system takes back when the process ends in any way.

    Args:
        folder: Path of a folder that is there.

    Raises:
        CommandError: If another process holds it.
    """
    path = folder / LOCK_FILE
    file = _locked_file(path)
    try:
        yield
    finally:
        if file is not None:
            path.unlink(missing_ok=True)  # while it is locked, so that it is no other's
            os.close(file)


def _locked_file(path: Path) -> int | None:
    if fcntl is None:
        print(_NO_LOCK.format("system"))
        return None
    while True:
        file = _open(path)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(file, 32).decode(errors="replace").strip()
            os.close(file)
            raise CommandError(
                f"another training{f', process {holder},' if holder else ''} is writing to "
                f"'{path.parent}'. Wait for its end, or stop it, or choose another --output_dir."
            ) from None
        except OSError as error:
            os.close(file)
            if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
                raise
            print(_NO_LOCK.format("file system"))
            return None
        # The former holder may have removed the file between the two calls.
        if _is_at(file, path):
            os.ftruncate(file, 0)
            os.write(file, f"{os.getpid()}\n".encode())
            return file
        os.close(file)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise CommandError(
            f"cannot write to the folder '{path.parent}': {error.strerror}. Change its "
            "permissions, or choose another folder."
        ) from error


def _is_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), os.stat(path))
    except FileNotFoundError:
        return False
