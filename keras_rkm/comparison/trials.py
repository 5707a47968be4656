"""The models of a study as trials in the HParams dashboard of TensorBoard."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_rkm import evaluation

from .report import cost_rows
from .study import Cell

TENSORBOARD_DIR = "tensorboard"


def write_cell_trial(cell: Cell, result: Mapping[str, Any], output_dir: Path) -> None:
    """Writes one model of a study: its method, setting and seed, and its scores.

    The tags of the scores are `group/measure/score`, and behind it the rotation or the sampler
    where there is one.

    Args:
        cell: `Cell`.
        result: What `run_cell` has found.
        output_dir: Path, the folder of the study; the trial goes to `tensorboard/METHOD/...` in it.
    """
    hparams = {
        "method": cell.method.name,
        "model": cell.method.model,
        "setting": cell.setting,
        "seed": cell.seed,
        **cell.method.settings[cell.setting],
    }
    scores = {
        "/".join(filter(None, (row["measure"], row["score"], row["rotation"], row["sampler"]))): (
            row["value"]
        )
        for row in [*result["rows"], *cost_rows(result)]
    }
    folder = Path(*cell.folder.parts[-2:])  # of the method, of the setting and seed
    evaluation.write_trial(output_dir / TENSORBOARD_DIR / folder, hparams, scores)
