"""A folder of checkpoints: the last ones, and the best."""

import dataclasses
import math
import os
import re
import shutil
import tempfile
import warnings
from pathlib import Path

import keras

from keras_rkm import _files
from keras_rkm._keras_files import load_keras_file
from keras_rkm.checkpoints import training_state
from keras_rkm.checkpoints.sealed_model import (
    DamagedCheckpointError,
    peek_state,
    read_state,
    seal,
)
from keras_rkm.checkpoints.training_state import Position

_NAME = re.compile(r"step_(\d{8,})\.keras")
_WRITING = ".writing-"


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A model as it was at some moment of its training.

    Args:
        path: Path of the file.
        model: Compiled model with its optimizers.
        position: `Position` of the training.
        state: What `ResumeTraining` restores.
    """

    path: Path
    model: keras.Model
    position: Position
    state: dict


class CheckpointStore:
    """Writes and reads checkpoints, each one file `step_00001234.keras` in a folder.

    A checkpoint holds the model with all states of its optimizers, the states of seed generators
    and metrics, and the `Position` of the training. It is a `.keras` file, so
    `keras.saving.load_model` reads it too. It carries a checksum of all its bytes, is written in a
    folder beside its place, and is moved there once it is whole and on the disk. Older ones are
    removed only then; what a full disk or a crash can spoil is the one being written.

    A folder has one writer at a time.

    Args:
        path: Str or path of the folder; made by the first `save`.
        keep: Positive int, how many of the last checkpoints stay. Defaults to 3. Beside them stays
            the one with the least monitored value.

    Raises:
        ValueError: If `keep` is not a positive int.

    >>> import tempfile
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile("adam", "mse")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = CheckpointStore(folder, keep=2)
    ...     for step, loss in ((10, 0.3), (20, 0.1), (30, 0.2), (40, 0.2)):
    ...         path = store.save(model, keras_rkm.checkpoints.Position(step), monitored=loss)
    ...     store.steps(), store.load().position.step
    ([20, 30, 40], 40)
    """

    def __init__(self, path: str | os.PathLike, keep: int = 3):
        if isinstance(keep, bool) or not isinstance(keep, int) or keep < 1:
            raise ValueError(f"`keep` must be a positive int. Received: keep={keep!r}.")
        self.path = Path(path)
        self.keep = keep
        self._damaged = set()

    def steps(self) -> list[int]:
        """The steps of the checkpoints that are there, damaged ones included, ascending."""
        names = os.listdir(self.path) if self.path.is_dir() else []
        return sorted(int(match[1]) for name in names if (match := _NAME.fullmatch(name)))

    def path_of(self, step: int) -> Path:
        """Where the checkpoint after `step` training steps is, or would be."""
        return self.path / f"step_{step:08d}.keras"

    def save(self, model: keras.Model, position: Position, monitored: float | None = None) -> Path:
        """Writes a checkpoint; then removes those that are not to stay.

        Among these are all that were found damaged, and all of later steps: those are of a training
        that was given up.

        Args:
            model: Compiled model.
            position: `Position` of its training.
            monitored: Float, the lower the better, to keep the best; None for no opinion.

        Returns:
            The path of the file.

        Raises:
            OSError: If it cannot be written. All former checkpoints are as they were.
        """
        state = training_state.capture(model)
        state |= {"position": dataclasses.asdict(position), "monitored": monitored}
        path = self.path_of(position.step)
        self.path.mkdir(parents=True, exist_ok=True)
        self._remove_leftovers()
        # A folder, since Keras puts files of its own beside its file if there is little memory.
        folder = Path(tempfile.mkdtemp(prefix=_WRITING, dir=self.path))
        try:
            beside = folder / path.name
            model.save(beside)
            seal(beside, state)
            _files.move_into_place(beside, path)
            self._damaged.discard(position.step)
        except RuntimeError as error:  # what HDF5 makes of a disk that is full
            raise OSError(f"cannot write '{path}': {error}") from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        self._prune(position.step)
        return path

    def latest(self) -> tuple[Path, int] | None:
        """The last whole checkpoint and its step, or None if there is no checkpoint at all.

        Raises:
            ValueError: If there are some, and all are damaged.

        Warns:
            UserWarning: Names the damaged ones that come after it.
        """
        found = self._latest()
        return found and found[:2]

    def load(self) -> Checkpoint | None:
        """Loads the last whole checkpoint; None if there is no checkpoint at all.

        No code in the file is run: Keras is in its safe mode.

        Raises:
            ValueError: If there are some, and all are damaged; if the whole one is of another
                version, or has layers whose module is not imported.

        Warns:
            UserWarning: Names the damaged ones that come after it.
        """
        found = self._latest()
        if found is None:
            return None
        path, _, state = found
        try:
            position = Position(**state["position"])
            model = load_keras_file(path)
            training_state.restore_seed_generators(model, state)
        except Exception as error:  # of any kind: Keras, HDF5 and JSON each have their own
            raise ValueError(
                f"'{path}' is whole, but cannot be loaded: it is of another version, or has layers "
                f"whose module is not imported. {error}"
            ) from error
        return Checkpoint(path, model, position, state)

    def _latest(self) -> tuple[Path, int, dict] | None:
        damaged = []
        for step in reversed(self.steps()):
            path = self.path_of(step)
            try:
                state = read_state(path)
            except (OSError, DamagedCheckpointError) as error:
                self._damaged.add(step)
                damaged.append(str(error).rstrip("."))
                continue
            if damaged:
                warnings.warn(
                    f"{'; '.join(damaged)}. The checkpoint before it is taken: '{path}'.",
                    stacklevel=3,
                )
            return path, step, state
        if damaged:
            raise ValueError(
                f"No checkpoint is whole: {'; '.join(damaged)}. Restore one, or remove "
                f"'{self.path}' to begin from the start."
            )
        return None

    def _prune(self, last_step: int) -> None:
        own = [step for step in self.steps() if step <= last_step and step not in self._damaged]
        monitored = {step: peek_state(self.path_of(step)).get("monitored") for step in own}
        known = [step for step in own if _is_known(monitored[step])]
        best = [min(reversed(known), key=monitored.get)] if known else []
        for step in set(self.steps()) - {*own[-self.keep :], *best}:
            self.path_of(step).unlink(missing_ok=True)

    def _remove_leftovers(self) -> None:
        """Removes what a process that was killed while writing has left."""
        for path in self.path.glob(f"{_WRITING}*"):
            shutil.rmtree(path, ignore_errors=True)


def _is_known(value) -> bool:
    # Nothing is less than NaN, which would be the best then.
    return value is not None and math.isfinite(value)
