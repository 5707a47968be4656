"""What the commands that use a finished run share: its flags, its model, and images for it."""

import math
from pathlib import Path
from typing import NamedTuple

from absl import flags

from keras_rkm import datasets, loading
from keras_rkm.datasets import Dataset
from keras_rkm.models import StiefelRKM

from .data import load_train_and_held_out, parse_ranges
from .errors import USAGE_STATUS, CommandError
from .flag_files import read_flags
from .run_folder import RunFolder

# A flag belongs to the command that calls one of these functions.
flags.disclaim_key_flags()


class DatasetFlags(NamedTuple):
    """Which images a command reads."""

    name_or_path: flags.FlagHolder
    split: flags.FlagHolder
    image_size: flags.FlagHolder
    data_dir: flags.FlagHolder
    download: flags.FlagHolder


def define_run() -> flags.FlagHolder:
    """Defines `--run`."""
    return flags.DEFINE_string(
        "run", None, "The run folder that train has written, or a .keras file.", required=True
    )


def define_sampler() -> flags.FlagHolder:
    """Defines `--sampler`."""
    return flags.DEFINE_string(
        "sampler", None, "File of a sampler of latents, in place of the one in the run folder."
    )


def define_dataset(help_text: str, *, required: bool = False) -> DatasetFlags:
    """Defines `--dataset` and what belongs to it."""
    return DatasetFlags(
        flags.DEFINE_string("dataset", None, help_text, required=required),
        flags.DEFINE_string("split", None, "Default: test where there is one, else train."),
        flags.DEFINE_integer(
            "image_size", None, "Cut and resize the images to this side.", lower_bound=1
        ),
        flags.DEFINE_string("data_dir", None, "Where TensorFlow Datasets keeps its data."),
        flags.DEFINE_bool("download", False, "Let TensorFlow Datasets fetch what is missing."),
    )


def define_components() -> flags.FlagHolder:
    """Defines `--components`; `chosen_axes` reads it."""
    holder = flags.DEFINE_list(
        "components",
        ["all"],
        "Numbers of the axes, the first one 1, in the order to show them; or all.",
    )
    flags.register_validator(
        holder, _are_components, "it must be numbers from 1 on, such as 1,2,3, or all."
    )
    return holder


def define_positive(name: str, default: float, help_text: str) -> flags.FlagHolder:
    """Defines a flag of a positive, finite number."""
    holder = flags.DEFINE_float(name, default, help_text)
    flags.register_validator(
        holder, lambda value: 0 < value < math.inf, "it must be a positive number."
    )
    return holder


def chosen_axes(components: list[str], latent_dim: int) -> list[int]:
    """The numbers of the axes, from 1 on, that `--components` asks for.

    Raises:
        CommandError: If there are not so many.
    """
    if components == ["all"]:
        return list(range(1, latent_dim + 1))
    axes = [int(text) for text in components]
    if max(axes) > latent_dim:
        raise CommandError(
            f"--components: there are the axes 1 to {latent_dim}. Received: {max(axes)}",
            status=USAGE_STATUS,
        )
    return axes


def load_run(run: str, sampler: str | None = None) -> loading.Loaded:
    """The model of a run, and its sampler or the one in the file `sampler`.

    Raises:
        ValueError: As `keras_rkm.load`.
    """
    loaded = loading.load(run)
    return loaded._replace(sampler=loading.load_sampler_file(sampler)) if sampler else loaded


def check_is_rkm(model, run: str) -> None:
    """Raises a `CommandError` unless the model has principal axes and an energy."""
    if not isinstance(model, StiefelRKM):
        raise CommandError(
            "this takes a StiefelRKM, which has principal axes and an energy. Received: "
            f"'{run}' with a {type(model).__name__}. Other models are for generate, evaluate and "
            "export."
        )


def load_images(
    dataset: DatasetFlags, image_shape: tuple[int, int, int], *, num_images: int | None = None
) -> tuple[Dataset, str]:
    """The images that the flags choose, for a model of images of this shape.

    Returns:
        The images, and the name of their split.

    Raises:
        CommandError: If the images have another shape.
        Whatever `keras_rkm.datasets.load` raises.
    """
    options = {
        "num_images": num_images,
        "image_size": dataset.image_size.value,
        "data_dir": dataset.data_dir.value,
        "download": dataset.download.value,
    }
    split = dataset.split.value or "test"
    try:
        images = datasets.load(dataset.name_or_path.value, split=split, **options)
    except datasets.UnknownSplitError:
        if dataset.split.value:
            raise
        split = "train"
        images = datasets.load(dataset.name_or_path.value, split=split, **options)
    check_shape(images.image_shape, image_shape, images.name)
    return images, split


def load_held_out(run: str, *, data_dir: str | None = None, download: bool = False) -> Dataset:
    """The images that were held out of the training of a run; as of `load_run_images`."""
    return load_run_images(run, data_dir=data_dir, download=download)[1]


def load_run_images(
    run: str, *, data_dir: str | None = None, download: bool = False
) -> tuple[Dataset, Dataset]:
    """The images that a run was trained on, and those held out, found again by its flags.

    Args:
        run: Str, the value of `--run`.
        data_dir: Str, where TensorFlow Datasets keeps its data; None for where the run found it.
        download: Bool, let TensorFlow Datasets fetch what is missing.

    Raises:
        CommandError: If the flags of the run are not there or damaged.
        Whatever `keras_rkm.datasets.load` raises.
    """
    folder = RunFolder(run)
    told = read_flags(folder)
    try:
        name, ranges = told["dataset"], told.get("factor_classes", "")
        options = {
            "num_images": int(told["num_images"]) if "num_images" in told else None,
            "image_size": int(told["image_size"]) if "image_size" in told else None,
            "factor_classes": parse_ranges(list(filter(None, ranges.split(",")))),
            "seed": int(told["seed"]),
            "stream": told.get("stream") == "true",
        }
    except (KeyError, ValueError) as error:
        missing = f"it has no --{error.args[0]}" if isinstance(error, KeyError) else str(error)
        raise CommandError(
            f"'{folder.flags_file}' is damaged: {missing}. Choose the images by --dataset."
        ) from error
    data_dir = data_dir or told.get("data_dir")
    return load_train_and_held_out(name, **options, data_dir=data_dir, download=download)


def check_shape(shape: tuple[int, ...], expected: tuple[int, ...], name: str) -> None:
    """Raises a `CommandError` unless images of this shape fit the model, which takes `expected`."""
    if shape == expected:
        return
    height, width, channels = expected
    what_to_do = "Choose others"
    if height == width and channels == shape[-1]:
        what_to_do += f", or resize them by --image_size={height}"
    raise CommandError(
        f"the images of '{name}' have another shape than those of the run. Received: "
        f"{_shape_text(shape)}, and the model takes {_shape_text(expected)}. {what_to_do}."
    )


def output_path(output: str | None, run: str, default_name: str, suffix: str) -> Path:
    """Where to write: `output`, or a file in the folder of the run; it can be written as it seems.

    Args:
        output: Str, the value of `--output`, or None.
        run: Str, the value of `--run`.
        default_name: Str, the name of the file without `suffix`.
        suffix: Str that the name has to end in, such as `.png`; empty for a folder.

    Raises:
        CommandError: If the suffix is another, or there is no folder to write to.
    """
    run_path = Path(run).expanduser()
    folder = run_path if run_path.is_dir() else run_path.parent
    path = Path(output).expanduser() if output else folder / f"{default_name}{suffix}"
    if suffix and path.suffix.lower() != suffix:
        raise CommandError(
            f"--output must end in {suffix}. Received: {output}", status=USAGE_STATUS
        )
    if not path.parent.is_dir():
        raise CommandError(
            f"there is no folder '{path.parent}' to write to. Make it, or choose another --output."
        )
    if path.exists() and path.is_dir() == bool(suffix):
        raise CommandError(
            f"'{path}' is a {'folder' if suffix else 'file'}. Choose another --output."
        )
    return path


def _are_components(texts: list[str]) -> bool:
    are_numbers = all(text.isdecimal() and int(text) > 0 for text in texts)
    return texts == ["all"] or bool(texts) and are_numbers


def _shape_text(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
