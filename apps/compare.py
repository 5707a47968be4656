"""Compares methods: trains and measures every model of a study, and writes a report.

    keras-rkm compare --study=benchmarks/studies/dsprites_like.toml --output_dir=saved_models/study

A study file names the images, the budget, the methods with their settings, and the seeds. All
methods get the same networks, images, steps and numbers of settings. A study that was interrupted
goes on where it was: the same command again. The folder then holds results.csv with every number,
report.md with means, spreads and differences, a folder for each model, and tensorboard/, where
TensorBoard compares them all.
"""

import os
import shlex
import time
from pathlib import Path

from absl import flags

from keras_rkm import comparison
from keras_rkm.comparison import Cell, Finished, Study

from . import errors
from .errors import INTERRUPT_STATUS, CommandError
from .run_folder import write_atomically

STUDY = flags.DEFINE_string("study", None, "The study file, in TOML.", required=True)
OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", None, "Where the results go; a study that is there goes on.", required=True
)
IMAGES = flags.DEFINE_string(
    "images", None, "Where the images are, in place of the name in the study file."
)
FEATURES = flags.DEFINE_string(
    "features", None, "The .keras file of a classifier, in place of that of the study file."
)
STEPS = flags.DEFINE_integer(
    "steps", None, "Steps of every training, in place of those of the study file.", lower_bound=1
)
NUM_WORKERS = flags.DEFINE_integer(
    "num_workers", None, "Models trained side by side. Default: one per core.", lower_bound=1
)


def main(argv):
    """Runs what is missing and writes the report."""
    del argv
    study = comparison.read_study(
        STUDY.value, images=IMAGES.value, features=FEATURES.value, steps=STEPS.value
    )
    comparison.load_images(study.images)  # an error in them is one of every model
    folder = Path(OUTPUT_DIR.value).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    results: dict[Cell, dict] = {}
    failed: list[Finished] = []
    tuning = study.tuning_cells()
    try:
        _run(study, tuning, folder, results, failed, "tuning")
        _raise_for(failed)  # the choice would be among fewer settings
        choices = comparison.choose(study, [(c, results[c]) for c in tuning if c in results])
        for name, choice in choices.items():
            print(f"{name}: setting {choice.setting}, axes {choice.rotation}.", flush=True)
        cells = study.cells({name: choice.setting for name, choice in choices.items()})
        _run(study, cells, folder, results, failed, "reported")
    except KeyboardInterrupt:
        raise CommandError(
            "interrupted. What had ended is kept; the same command goes on from there.",
            status=INTERRUPT_STATUS,
        ) from None
    _write(study, folder, results, choices)
    _raise_for(failed)


def _run(
    study: Study,
    cells: list[Cell],
    folder: Path,
    results: dict[Cell, dict],
    failed: list[Finished],
    what: str,
) -> None:
    """Fills `results` and `failed`, and shows the progress."""
    start = time.monotonic()
    num_workers = NUM_WORKERS.value or os.cpu_count() or 1
    for number, each in enumerate(
        comparison.run_cells(study, cells, folder, num_workers=num_workers), start=1
    ):
        if each.result is None:
            failed.append(each)
        else:
            results[each.cell] = each.result
            comparison.write_cell_trial(each.cell, each.result, folder)
        minutes = (time.monotonic() - start) / 60
        ending = f"failed: {each.error}" if each.error else "done"
        print(
            f"{what} {number}/{len(cells)}, {minutes:.1f} min: {each.cell.method.name}, setting "
            f"{each.cell.setting}, seed {each.cell.seed} {ending}",
            flush=True,
        )


def _raise_for(failed: list[Finished]) -> None:
    if failed:
        told = "; ".join(
            f"{each.cell.method.name}, {each.cell.folder.name}: {each.error}" for each in failed[:3]
        )
        raise CommandError(f"{len(failed)} models could not be trained or measured. {told}")


def _write(study: Study, folder: Path, results: dict[Cell, dict], choices: dict) -> None:
    given = [
        f"--{flag.name}={flag.value}"
        for flag in (STUDY, IMAGES, FEATURES, STEPS, OUTPUT_DIR)
        if flag.value
    ]
    command = shlex.join(["keras-rkm", "compare", *given])
    text = comparison.to_markdown(study, results, choices, command)
    if gallery := comparison.write_gallery(study, choices, folder):
        text += f"\n{gallery}"
    write_atomically(
        folder / "results.csv", lambda path: comparison.write_csv(study, results, path)
    )
    write_atomically(folder / "report.md", lambda path: path.write_text(text, encoding="utf-8"))
    print(f"Wrote '{folder}': report.md and results.csv.")


if __name__ == "__main__":
    errors.run(main)
