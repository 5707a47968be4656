"""Files that appear whole or not at all."""

import os
from collections.abc import Callable
from pathlib import Path

BESIDE = ".part-"  # How the names of files begin that are not whole yet.


def write_atomically(path: str | os.PathLike, write: Callable[[Path], object]) -> None:
    """Has `write` make a file beside `path`, of the same suffix, and moves it there when whole.

    A crash or a full disk leaves what was at `path` as it was.

    Args:
        path: Str or path of the file.
        write: Callable that gets the path to write to.

    Raises:
        OSError: If it cannot be written; whatever `write` raises.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "notes.txt")
    ...     write_atomically(path, lambda beside: beside.write_text("whole"))
    ...     path.read_text()
    'whole'
    """
    path = Path(path)
    beside = path.with_name(f"{BESIDE}{os.getpid()}-{path.name}")
    try:
        write(beside)
        move_into_place(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def move_into_place(beside: Path, path: Path) -> None:
    """Moves a file that is whole to `path`, so that a power cut leaves the old one or the new one.

    Args:
        beside: Path on the same file system.
        path: Path, replaced if it is there.
    """
    with beside.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(beside, path)
    sync_folder(path.parent)


def sync_folder(folder: str | os.PathLike) -> None:
    """Has the names in a folder reach the disk."""
    if os.name == "nt":  # Windows has no handle of a folder
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
