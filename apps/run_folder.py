"""The folder of one training run: what is in it, and how it is written.

Every file is written beside its place and moved there when it is whole, so that a crash or a full
disk leaves the former one as it was.
"""

import csv
import io
import json
import os
import time
import warnings
from pathlib import Path

from keras_rkm import loading
from keras_rkm._files import BESIDE, write_atomically
from keras_rkm._json_files import read_json
from keras_rkm.checkpoints import Checkpoint, CheckpointStore
from keras_rkm.datasets import Dataset

from .errors import CommandError

LOCK_FILE = ".lock"
_STOP_FILE = ".stop"
_PROBE_BYTES = 2**20
_SECONDS_UNTIL_STALE = 60 * 60


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
        self.data_file = self.path / "data.json"
        self.checkpoint_dir = self.path / loading.CHECKPOINT_DIR
        self.store = CheckpointStore(self.checkpoint_dir)
        self.tensorboard_dir = self.path / "tensorboard"
        self.evaluation_file = self.path / "evaluation.md"
        self.importances_file = self.path / "importances.png"
        self.stop_file = self.path / _STOP_FILE  # a worker's word to the chief

    def check_new(self) -> None:
        """Makes the folder, or raises a `CommandError` if it holds something."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            is_empty = all(_is_passing(path) for path in self.path.iterdir())
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
        """Raises a `CommandError` if a file of a megabyte cannot be written.

        Removes what processes that were killed while writing have left, and what they asked for.
        """
        probe = self.path / f"{BESIDE}probe"  # a name that is no obstacle if this is killed
        try:
            for path in self.path.glob(f"{BESIDE}*"):
                if time.time() - path.stat().st_mtime > _SECONDS_UNTIL_STALE:
                    path.unlink(missing_ok=True)
            self.stop_file.unlink(missing_ok=True)
            try:
                probe.write_bytes(bytes(_PROBE_BYTES))
            finally:
                probe.unlink(missing_ok=True)
        except OSError as error:
            raise CommandError(
                f"cannot write to the folder '{self.path}': {error.strerror}. Make room or change "
                "its permissions, or choose another folder."
            ) from error

    def check_images(self, train: Dataset, held_out: Dataset) -> None:
        """Raises a `CommandError` if the run was started with other images, by its `data.json`."""
        if not self.data_file.exists():
            return
        started, now = self._read_json(self.data_file), _described(train, held_out)
        for part in now:
            if started.get(part) != now[part]:
                raise CommandError(
                    f"the images of the run in '{self.path}' have changed. Received: "
                    f"{_summary(now[part])} {part.replace('_', ' ')}, where it was started with "
                    f"{_summary(started.get(part))}. Restore them, or choose another --output_dir "
                    "for a new run."
                )

    def write_images(self, train: Dataset, held_out: Dataset) -> None:
        """Writes `data.json`, which tells the images of this run from others."""
        self._write_json(self.data_file, _described(train, held_out))

    def load_checkpoint(self) -> Checkpoint | None:
        """The last whole checkpoint, or None.

        Raises:
            CommandError: If there are only those of an older version.
            ValueError: As of `CheckpointStore.load`.
        """
        if not self.store.steps() and (old := sorted(self.checkpoint_dir.glob("step-*.keras"))):
            raise CommandError(
                f"'{old[-1]}' is a checkpoint of an older version of keras-rkm, which this one "
                "does not go on from. Use that version, or choose another --output_dir for a new "
                "run."
            )
        return self.store.load()

    def describe_checkpoint(self) -> str:
        """A sentence or two about what is left when a run breaks off."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                found = self.store.latest()
            except ValueError as error:
                return str(error)
        if found is None:
            return "There is no checkpoint yet."
        return (
            f"The last good checkpoint, after {found[1]} steps, is '{found[0]}'. To go on from "
            f"there: keras-rkm train --output_dir={self.path} --resume"
        )

    def read_history(self) -> dict[str, list[float]]:
        """The logs of each epoch by name, as in `keras.callbacks.History.history`.

        Raises:
            CommandError: If `history.csv` has been damaged; as `truncate_history` does.
        """
        rows = self._history_rows()
        names = [name for name in (rows[0] if rows else ()) if name != "epoch"]
        return {name: [float(row[name]) for row in rows] for name in names}

    def truncate_history(self, num_epochs: int) -> None:
        """Drops the rows that came after a checkpoint, or were never finished."""
        rows = [row for row in self._history_rows() if float(row["epoch"]) < num_epochs]

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
        try:
            text = self.history_file.read_bytes().decode()
            whole = io.StringIO(text[: text.rfind("\n") + 1], newline="")  # no half number
            rows = [row for row in csv.DictReader(whole, strict=True) if None not in row.values()]
            if any(None in row for row in rows):
                raise ValueError("a row has more values than there are columns")
            if rows and "epoch" not in rows[0]:
                raise ValueError("it has no column 'epoch'")
            for row in rows:
                for value in row.values():
                    float(value)
        except (ValueError, csv.Error) as error:
            raise CommandError(
                f"'{self.history_file}' is damaged: {error}. Restore it, or remove it to do "
                "without the logs of the epochs so far."
            ) from error
        return rows

    def read_metrics(self) -> dict:
        """What `metrics.json` holds; nothing if there is none.

        Raises:
            CommandError: If it has been damaged.
        """
        return self._read_json(self.metrics_file) if self.metrics_file.exists() else {}

    def write_metrics(self, metrics: dict) -> None:
        """Writes `metrics.json`."""
        self._write_json(self.metrics_file, metrics)

    def _read_json(self, path: Path) -> dict:
        try:
            return read_json(path, allow_nan=True)
        except (OSError, ValueError) as error:
            raise CommandError(
                f"'{path}' cannot be read, and would be lost: {error}. Move it away."
            ) from error

    def _write_json(self, path: Path, value: dict) -> None:
        text = json.dumps(value, indent=2) + "\n"
        write_atomically(path, lambda beside: beside.write_text(text, encoding="utf-8"))


def _is_passing(path: Path) -> bool:
    """Whether a file is one that a process has, or had when it was killed, for a moment."""
    return path.name in (LOCK_FILE, _STOP_FILE) or path.name.startswith(BESIDE)


def _described(train: Dataset, held_out: Dataset) -> dict[str, dict]:
    parts = {"to_train_on": train, "held_out": held_out}
    return {
        part: {
            "num_images": images.num_images,
            "image_shape": list(images.image_shape),
            "fingerprint": images.fingerprint(),
        }
        for part, images in parts.items()
    }


def _summary(described: dict | None) -> str:
    if not described:
        return "none"
    shape = "x".join(map(str, described["image_shape"]))
    digits = described["fingerprint"][:8]
    return f"{described['num_images']:,} images of {shape} (fingerprint {digits})"
