"""Runs the cells of a study in processes side by side, those that are missing only."""

import concurrent.futures
import multiprocessing
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .cells import read_result, run_cell
from .study import Cell, Study, StudyError


class Finished(NamedTuple):
    """A cell that has ended: its result, or the error that it ended with."""

    cell: Cell
    result: dict[str, Any] | None
    error: str | None = None


def run_cells(
    study: Study, cells: Sequence[Cell], output_dir: Path, *, num_workers: int
) -> Iterator[Finished]:
    """Yields every cell when it has ended; those that had ended before come first.

    Each runs in a process of its own with one thread, so that results and times do not depend on
    `num_workers`.

    Args:
        study: `Study`.
        cells: Sequence of `Cell`.
        output_dir: Path, the folder of the study.
        num_workers: Positive int.

    Raises:
        StudyError: If a process is killed, as by lack of memory.
    """
    missing = []
    for cell in cells:
        result = read_result(study, cell, output_dir)
        if result is None:
            missing.append(cell)
        else:
            yield Finished(cell, result)
    if not missing:
        return
    pool = concurrent.futures.ProcessPoolExecutor(
        min(num_workers, len(missing)),
        # A forked copy of TensorFlow hangs.
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_begin_worker,
    )
    try:
        futures = {pool.submit(_run, study, cell, output_dir): cell for cell in missing}
        for future in concurrent.futures.as_completed(futures):
            result, error = future.result()
            yield Finished(futures[future], result, error)
    except concurrent.futures.process.BrokenProcessPool as error:
        raise StudyError(
            "A process was killed, perhaps for lack of memory. What had ended is kept: run the "
            "study again to go on, with fewer workers."
        ) from error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _run(study: Study, cell: Cell, output_dir: Path) -> tuple[dict[str, Any] | None, str | None]:
    try:
        return run_cell(study, cell, output_dir), None
    except (ValueError, ArithmeticError, OSError, ImportError) as error:
        return None, " ".join(str(error).split())


def _begin_worker() -> None:
    """One thread for the numbers, and no life beyond that of the process that asked for them."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ["OMP_NUM_THREADS"] = "1"
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def _end_with_parent() -> None:
    # A killed parent shuts down no pool; its workers would wait for their next cell for ever.
    multiprocessing.parent_process().join()
    os._exit(1)
