"""Writes a report of a run: its flags, curves, measures, axes, samples, neighbours and energies.

    keras-rkm report --run=saved_models/first

Into the run folder go report.md and report.html; the latter holds its pictures and needs no other
file. Do samples repeat training images? Each is shown beside its nearest ones, and its distance is
compared with those of held-out images. What the run lacks is said, with the command that adds it.
"""

from absl import flags

from keras_rkm import documents
from keras_rkm.datasets import Dataset

from . import errors, report_sections
from .errors import CommandError, describe
from .flag_files import read_flags
from .run_folder import RunFolder, write_atomically
from .run_inputs import check_shape, define_run, define_sampler, load_run, load_run_images

RUN = define_run()
SAMPLER = define_sampler()
DATA_DIR = flags.DEFINE_string("data_dir", None, "Where TensorFlow Datasets keeps its data.")
DOWNLOAD = flags.DEFINE_bool("download", False, "Let TensorFlow Datasets fetch what is missing.")
NUM_SAMPLES = flags.DEFINE_integer(
    "num_samples", 100, "Samples whose neighbours are looked for.", lower_bound=1
)
NUM_IMAGES = flags.DEFINE_integer(
    "num_images",
    1_000,
    "Training images and held-out images whose energies and, of the latter, neighbours are "
    "computed: at most so many of each. Neighbours are looked for among all training images.",
    lower_bound=1,
)
SEED = flags.DEFINE_integer("seed", 0, "Of the samples.", lower_bound=0, upper_bound=2**31 - 1)


def main(argv):
    """Writes the report."""
    del argv
    folder = RunFolder(RUN.value)
    if folder.path.is_file():
        raise CommandError(
            f"--run must be the folder of a run. Received: '{folder.path}', which is a file."
        )
    model, sampler = load_run(RUN.value, SAMPLER.value)
    folder.check_writable()
    metrics = folder.read_metrics()
    told = read_flags(folder) if folder.flags_file.is_file() else {}
    images, reason = _images(model.image_shape, metrics)
    blocks = [
        *report_sections.summary(folder, model, metrics, told),
        *report_sections.training(folder),
        *report_sections.axes(folder, metrics),
        *report_sections.pictures(folder),
        *report_sections.measures(folder, metrics),
    ]
    print("Looking for the nearest training images.", flush=True)
    options = {"num_images": NUM_IMAGES.value, "reason": reason}
    blocks += report_sections.neighbours(
        folder, model, sampler, images, num_samples=NUM_SAMPLES.value, seed=SEED.value, **options
    )
    blocks += report_sections.energies(folder, model, sampler, images, **options)
    blocks += report_sections.versions(metrics)
    texts = {
        "report.md": documents.to_markdown(blocks),
        "report.html": documents.to_html(blocks, title=f"Run {folder.path.resolve().name}"),
    }
    for name, text in texts.items():
        _write(folder, name, text)
    print(f"Wrote '{folder.path}': {', '.join(texts)}.")


def _write(folder: RunFolder, name: str, text: str) -> None:
    write_atomically(folder.path / name, lambda path: path.write_text(text, encoding="utf-8"))


def _images(
    image_shape: tuple[int, int, int], metrics: dict
) -> tuple[tuple[Dataset, Dataset] | None, str]:
    """The images to train on and those held out; or None, and why they cannot be had."""
    try:
        both = load_run_images(RUN.value, data_dir=DATA_DIR.value, download=DOWNLOAD.value)
        for dataset, name in zip(both, ("num_train_images", "num_held_out_images"), strict=True):
            check_shape(dataset.image_shape, image_shape, dataset.name)
            if metrics.get(name) not in (None, dataset.num_images):
                raise CommandError(
                    f"the images of '{dataset.name}' have changed since the training: {name} was "
                    f"{metrics[name]}, and is {dataset.num_images} now"
                )
    except Exception as error:
        described = describe(error)
        if described is None:
            raise
        return None, described[0].rstrip(".")
    return both, ""


if __name__ == "__main__":
    errors.run(main)
