"""The flags of `train`; they have the names of the arguments that they become."""

import math
import os

from absl import flags

from keras_rkm import datasets

from . import strategy
from .data import parse_ranges

_DEFAULT_EPOCHS = 30
_MAX_SEED = 2**31 - 1  # the noise of the model takes its seed as an int32

DATASET = flags.DEFINE_string(
    "dataset",
    "dsprites_like",
    "What to train on: dsprites_like or shapes3d_like, which are drawn on the spot; a folder of "
    "images or of TFRecords; an .npz or IDX file; or the name of a set of TensorFlow Datasets.",
)
DATA_DIR = flags.DEFINE_string("data_dir", None, "Where TensorFlow Datasets keeps its data.")
DOWNLOAD = flags.DEFINE_bool("download", False, "Let TensorFlow Datasets fetch what is missing.")
STREAM = flags.DEFINE_bool(
    "stream",
    False,
    "Read the images from the disk while training, for sets that memory does not hold; always so "
    "for a folder of TFRecords.",
)
NUM_IMAGES = flags.DEFINE_integer(
    "num_images", None, "Train on a random choice of so many images.", lower_bound=1
)
IMAGE_SIZE = flags.DEFINE_integer(
    "image_size",
    None,
    "Side of the images, divisible by 4: generated sets are drawn at 64, 32 or 16, others resized.",
    lower_bound=4,
)
FACTOR_CLASSES = flags.DEFINE_list(
    "factor_classes",
    None,
    "Train on a part of a data set with known factors: name=class or name=first:end, end excluded, "
    "such as shape=1,orientation=5:15.",
)
LATENT_DIM = flags.DEFINE_integer(
    "latent_dim", 10, "Number of axes, the columns of U.", lower_bound=1
)
FEATURE_DIM = flags.DEFINE_integer("feature_dim", 128, "Size of the features.", lower_bound=1)
CAPACITY = flags.DEFINE_integer(
    "capacity", 32, "Filters of the first convolution of the encoder.", lower_bound=1
)
RECONSTRUCTION_MODE = flags.DEFINE_enum(
    "reconstruction_mode",
    "deterministic",
    ["deterministic", "noisy", "split"],
    "Which reconstruction term the objective has.",
)
RECONSTRUCTION_LOSS = flags.DEFINE_enum(
    "reconstruction_loss",
    "binary_crossentropy",
    ["binary_crossentropy", "mean_squared_error"],
    "Error of a reconstruction, summed over its pixels.",
)
RECONSTRUCTION_WEIGHT = flags.DEFINE_float(
    "reconstruction_weight", 1.0, "Weight of the reconstruction term."
)
NOISE_STDDEV = flags.DEFINE_float(
    "noise_stddev", 1e-3, "Noise of the modes noisy and split, in units of the latents."
)
DECODER_CENTERING = flags.DEFINE_enum(
    "decoder_centering", "none", ["none", "batch"], "Whether the decoder sees centred features."
)
MEAN_PENALTY = flags.DEFINE_float(
    "mean_penalty",
    None,
    "Weight of the squared mean of the code. Default: 1 with --decoder_centering=none, else 0.",
)
UPDATE = flags.DEFINE_enum(
    "update",
    "simultaneous",
    ["simultaneous", "alternating"],
    "Whether basis and networks take their steps from one gradient.",
)
NONFINITE = flags.DEFINE_enum(
    "nonfinite",
    "raise",
    ["raise", "skip"],
    "Whether a loss or gradient that is not finite ends the training, or its step is left out and "
    "counted. It reaches no weight.",
)
AXES = flags.DEFINE_enum(
    "axes",
    "ica",
    ["ica", "rotate", "joint_diagonalization", "recompute"],
    "Which axes the basis gets after training: the least dependent ones, the principal ones, those "
    "along which the decoder changes images most orthogonally, or the principal ones of all "
    "features.",
)
LEARNING_RATE = flags.DEFINE_float("learning_rate", 1e-3, "Adam's, for the networks.")
BASIS_LEARNING_RATE = flags.DEFINE_float("basis_learning_rate", 1e-2, "Cayley ADAM's.")
EPOCHS = flags.DEFINE_integer(
    "epochs",
    None,
    f"How often to go through the images. Default: {_DEFAULT_EPOCHS}, unless --steps is given.",
    lower_bound=1,
)
STEPS = flags.DEFINE_integer(
    "steps", None, "How many batches to train on, in place of --epochs.", lower_bound=1
)
BATCH_SIZE = flags.DEFINE_integer("batch_size", 128, "Images in a step.", lower_bound=2)
SEED = flags.DEFINE_integer(
    "seed", 0, "Decides weights, choice and order.", lower_bound=0, upper_bound=_MAX_SEED
)
MIXED_PRECISION = flags.DEFINE_enum(
    "mixed_precision",
    "float32",
    ["float32", "mixed_bfloat16", "mixed_float16"],
    "Keras dtype policy of the networks.",
)
CHECKPOINT_EVERY = flags.DEFINE_integer(
    "checkpoint_every", 1, "Epochs between checkpoints.", lower_bound=1
)
CHECKPOINT_STEPS = flags.DEFINE_integer(
    "checkpoint_steps", None, "Steps between further checkpoints. Default: none.", lower_bound=1
)
CHECKPOINT_MINUTES = flags.DEFINE_float(
    "checkpoint_minutes", None, "Minutes after which another checkpoint is due. Default: never."
)
KEEP_CHECKPOINTS = flags.DEFINE_integer(
    "keep_checkpoints",
    3,
    "How many of the last checkpoints stay, beside the one of the least val_loss.",
    lower_bound=1,
)
EVALUATE_EVERY = flags.DEFINE_integer(
    "evaluate_every",
    0,
    "Epochs between measures of the held-out images in TensorBoard, some seconds each; 0 for none.",
    lower_bound=0,
)
FEATURES = flags.DEFINE_string(
    "features",
    None,
    "The .keras file of a classifier, whose features of images the Frechet distance and others "
    "compare, among the measures of --evaluate_every.",
)
SUMMARY_SHARE = flags.DEFINE_float(
    "summary_share",
    0.02,
    "Most of the training time that spectrum, pictures and latents in TensorBoard may take; epochs "
    "for which there is no time are left out. 0 for none of them, 1 for no limit.",
    lower_bound=0,
    upper_bound=1,
)
# What repeats a run; where it goes, on which devices, and whether it goes on are no part of it.
RUN_FLAGS = tuple(flag.name for flag in flags.FLAGS.get_flags_for_module(__name__))

OUTPUT_DIR = flags.DEFINE_string("output_dir", None, "The run folder: new or empty.", required=True)
RESUME = flags.DEFINE_bool(
    "resume", False, "Go on with the run in --output_dir; flags that are left out are as they were."
)
STRATEGY = flags.DEFINE_enum(
    "strategy",
    "none",
    strategy.NAMES,
    "Train on one device, on all devices of this machine, or on those of the workers that "
    "TF_CONFIG names. --batch_size counts the images on all of them.",
)
PROFILE_STEPS = flags.DEFINE_list(
    "profile_steps", None, "First and last step of this start to profile for TensorBoard: 10,20."
)

flags.register_multi_flags_validator(
    ["strategy", "mixed_precision"],
    lambda values: values["strategy"] == "none" or values["mixed_precision"] != "mixed_float16",
    "mixed_float16 works on one device only; use mixed_bfloat16 with --strategy.",
)
flags.register_multi_flags_validator(
    ["features", "evaluate_every"],
    lambda values: values["features"] is None or values["evaluate_every"] > 0,
    "--features needs --evaluate_every, the epochs between measures.",
)
flags.register_multi_flags_validator(
    ["latent_dim", "feature_dim"],
    lambda values: values["latent_dim"] <= values["feature_dim"],
    "latent_dim must not exceed feature_dim, since at most feature_dim axes can be orthogonal.",
)
flags.register_multi_flags_validator(
    ["epochs", "steps"],
    lambda values: None in values.values(),
    "--epochs and --steps exclude each other.",
)
flags.register_validator(
    "image_size",
    lambda size: size is None or size % 4 == 0,
    "it must be divisible by 4, since two convolutions halve the images.",
)


def _are_steps(texts) -> bool:
    if texts is None:
        return True
    numbers = [int(text) for text in texts if text.isdecimal()]
    return len(numbers) == len(texts) == 2 and 0 < numbers[0] <= numbers[1]


flags.register_validator(
    "profile_steps", _are_steps, "it takes two steps, the first from 1 on, such as 10,20."
)


def _has_ranges(texts) -> bool:
    try:
        parse_ranges(texts or ())
    except ValueError as error:
        raise flags.ValidationError(str(error)) from None
    return True


flags.register_validator("factor_classes", _has_ranges)
for _flag in (RECONSTRUCTION_WEIGHT, NOISE_STDDEV, MEAN_PENALTY):
    flags.register_validator(
        _flag,
        lambda value: value is None or 0 <= value < math.inf,
        "it must be zero or a positive number.",
    )
for _flag in (LEARNING_RATE, BASIS_LEARNING_RATE, CHECKPOINT_MINUTES):
    flags.register_validator(
        _flag,
        lambda value: value is None or 0 < value < math.inf,
        "it must be a positive number.",
    )


def settle() -> None:
    """Replaces what depends on the moment by what it stands for: paths and missing values."""
    dataset = os.path.expanduser(DATASET.value)
    if dataset not in datasets.GENERATED_SETS and os.path.exists(dataset):
        flags.FLAGS.dataset = os.path.abspath(dataset)
    for flag in (DATA_DIR, FEATURES):
        if flag.value:
            setattr(flags.FLAGS, flag.name, os.path.abspath(os.path.expanduser(flag.value)))
    if EPOCHS.value is None and STEPS.value is None:
        flags.FLAGS.epochs = _DEFAULT_EPOCHS
