"""Shows what each axis of a run does, as a still picture and as an animation.

    keras-rkm traverse --run=saved_models/first --components=1,2,3

Each row of the picture, and each tile of the animation, follows one axis from -3 to +3 standard
deviations of its latent; the others stay at the mean, or at those of an image.
"""

import numpy as np
from absl import flags
from PIL import Image, ImageOps

from keras_rkm import visualization

from . import errors, pictures
from .run_inputs import (
    check_is_rkm,
    chosen_axes,
    define_components,
    define_dataset,
    define_positive,
    define_run,
    load_images,
    load_run,
    output_path,
)

RUN = define_run()
COMPONENTS = define_components()
NUM_STEPS = flags.DEFINE_integer(
    "num_steps", 13, "Images along an axis; an odd number has the middle.", lower_bound=2
)
MAX_STDDEV = define_positive(
    "max_stddev", 3.0, "How far to go to either side, in standard deviations of the latent."
)
IMAGE = flags.DEFINE_string("image", None, "Start at the latents of the image in this file.")
DATASET = define_dataset("Start at the latents of an image of this data set, see --index.")
INDEX = flags.DEFINE_integer("index", 0, "Which image of --dataset, from 0 on.", lower_bound=0)
ANIMATION = flags.DEFINE_enum(
    "animation", "gif", ["gif", "webp", "none"], "Format of the animation beside the picture."
)
OUTPUT = flags.DEFINE_string(
    "output", None, "PNG file to write. Default: traverse.png in the run folder."
)

flags.register_multi_flags_validator(
    ["image", "dataset"],
    lambda values: None in values.values(),
    "--image and --dataset exclude each other.",
)


def main(argv):
    """Writes the picture and the animation."""
    del argv
    model, _ = load_run(RUN.value)
    check_is_rkm(model, RUN.value)
    axes = chosen_axes(COMPONENTS.value, model.latent_dim)
    output = output_path(OUTPUT.value, RUN.value, "traverse", ".png")
    steps = np.linspace(-MAX_STDDEV.value, MAX_STDDEV.value, NUM_STEPS.value)
    image = _start_image(model.image_shape)
    start = None if image is None else model.encode(image[np.newaxis])[0]
    traversal = pictures.traverse(model, steps, axes=axes, start=start)
    written = [output]
    visualization.save_png(pictures.traversal_still(traversal), output)
    if ANIMATION.value != "none":
        written.append(output.with_suffix(f".{ANIMATION.value}"))
        visualization.save_animation(pictures.traversal_animation(traversal), written[-1])
    names = " and ".join(f"'{path}'" for path in written)
    print(f"Wrote {names}: {len(axes)} axes, {len(steps)} steps.")


def _start_image(shape: tuple[int, int, int]) -> np.ndarray | None:
    """The image to start at, float32 of this shape, or None."""
    if IMAGE.value:
        return _read_image(IMAGE.value, shape)
    if not DATASET.name_or_path.value:
        return None
    dataset, split = load_images(DATASET, shape)
    if INDEX.value >= dataset.num_images:
        raise errors.CommandError(
            f"--index={INDEX.value} exceeds the {dataset.num_images} images of '{dataset.name}' "
            f"({split}), which are counted from 0 on."
        )
    return dataset.images[INDEX.value].astype("float32") / 255


def _read_image(path: str, shape: tuple[int, int, int]) -> np.ndarray:
    """Cuts the middle out of a picture and resizes it to what the model takes."""
    height, width, channels = shape
    try:
        with Image.open(path) as file:
            if file.mode.startswith(("I", "F")):  # `convert` would clip them to white
                raise errors.CommandError(f"--image: '{path}' has more than 8 bits a channel.")
            picture = ImageOps.exif_transpose(file).convert("L" if channels == 1 else "RGB")
    except (Image.DecompressionBombError, SyntaxError, EOFError) as error:
        raise errors.CommandError(f"--image: '{path}' cannot be read: {error}") from error
    picture = ImageOps.fit(picture, (width, height), method=Image.Resampling.LANCZOS)
    return np.asarray(picture, "float32").reshape(shape) / 255


if __name__ == "__main__":
    errors.run(main)
