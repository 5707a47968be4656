"""The folder of one training run: what is in it, and how it is written.

Every file is written beside its place and moved there when it is whole, so that a crash or a full
disk leaves the former one as it was.
"""

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path

import keras

from keras_rkm import loading
from keras_rkm._json_files import read_json

from .errors import CommandError

_PROBE_BYTES = 2**20


class RunFolder:
    """Names, reads and writes the files of a run.

    Args:
        path: Str or path, the folder.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path).expanduser()
        self.flags_file = self.path / "flags.txt"
        self.model_file = self.path / loading.MODEL_FILE
        self.sampler_file = self.path / loading.SAMPLER_FILE
        self.history_file = self.path / "history.csv"
        self.metrics_file = self.path / "metrics.json"
        self.checkpoint_dir = self.path / loading.CHECKPOINT_DIR
        self.tensorboard_dir = self.path / "tensorboard"
        self.evaluation_file = self.path / "evaluation.md"
        self.importances_file = self.path / "importances.png"

    def check_new(self) -> None:
        """Makes the folder, or raises a `CommandError` if it holds something."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            is_empty = not any(self.path.iterdir())
        except OSError as error:
            raise CommandError(
                f"cannot make the folder '{self.path}': {error.strerror}. Choose another "
                "--output_dir."
            ) from error
        if not is_empty:
            what_to_do = "Choose another --output_dir"
            if self.flags_file.exists():
                what_to_do += ", or go on with this run by --resume"
            raise CommandError(f"the folder '{self.path}' is not empty. {what_to_do}.")

    def check_resumable(self) -> None:
        """Raises a `CommandError` unless the folder holds a run."""
        if not self.flags_file.is_file():
            raise CommandError(
                f"'{self.path}' is no run that --resume could go on with: it has no "
                f"{self.flags_file.name}. Check --output_dir, or leave out --resume."
            )

    def check_writable(self) -> None:
        """Raises a `CommandError` if a file of a megabyte cannot be written."""
        try:
            write_atomically(
                self.path / "probe", lambda path: path.write_bytes(bytes(_PROBE_BYTES))
            )
            (self.path / "probe").unlink()
        except OSError as error:
            raise CommandError(
                f"cannot write to the folder '{self.path}': {error.strerror}. Make room or change "
                "its permissions, or choose another folder."
            ) from error

    def checkpoint(self) -> tuple[Path, int] | None:
        """The last whole checkpoint and the number of steps behind it, or None."""
        return loading.last_checkpoint(self.path)

    def save_checkpoint(self, model: keras.Model, step: int) -> None:
        """Writes the model with its optimizers, then removes the checkpoint before."""
        self.checkpoint_dir.mkdir(exist_ok=True)
        path = self.checkpoint_dir / loading.checkpoint_file(step)
        write_atomically(path, model.save)
        for other in self.checkpoint_dir.iterdir():
            if other != path:
                other.unlink()

    def load_checkpoint(self) -> tuple[keras.Model, int] | None:
        """The model of the last checkpoint and the number of steps behind it, or None."""
        found = self.checkpoint()
        return found and (loading.load(found[0]).model, found[1])

    def describe_checkpoint(self) -> str:
        """A sentence about what is left when a run breaks off."""
        found = self.checkpoint()
        if found is None:
            return "There is no checkpoint yet."
        return f"The last good checkpoint, after {found[1]} steps, is '{found[0]}'."

    def read_history(self) -> dict[str, list[float]]:
        """The logs of each epoch by name, as in `keras.callbacks.History.history`."""
        rows = self._history_rows()
        names = [name for name in (rows[0] if rows else ()) if name != "epoch"]
        return {name: [float(row[name]) for row in rows] for name in names}

    def truncate_history(self, num_epochs: int) -> None:
        """Drops the rows that came after a checkpoint, or were never finished."""
        rows = self._history_rows()[:num_epochs]

        def write(path):
            with path.open("w", newline="") as file:
                if rows:
                    writer = csv.DictWriter(file, rows[0])
                    writer.writeheader()
                    writer.writerows(rows)

        write_atomically(self.history_file, write)

    def _history_rows(self) -> list[dict[str, str]]:
        if not self.history_file.exists():
            return []
        with self.history_file.open(newline="") as file:
            return [row for row in csv.DictReader(file) if None not in row.values()]

    def read_metrics(self) -> dict:
        """What `metrics.json` holds; nothing if there is none.

        Raises:
            CommandError: If it has been damaged.
        """
        if not self.metrics_file.exists():
            return {}
        try:
            return read_json(self.metrics_file, allow_nan=True)
        except (OSError, ValueError) as error:
            raise CommandError(
                f"'{self.metrics_file}' cannot be read, and would be lost: {error}. Move it away."
            ) from error

    def write_metrics(self, metrics: dict) -> None:
        """Writes `metrics.json`."""
        text = json.dumps(metrics, indent=2) + "\n"
        write_atomically(self.metrics_file, lambda path: path.write_text(text))


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Has `write` make a file beside `path`, of the same suffix, and moves it there when whole."""
    beside = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        write(beside)
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
