"""Images in memory or on disk: public sets, files, arrays, and generated sets with known factors.

>>> from keras_rkm import datasets
>>> dataset = datasets.load("shapes3d_like", num_images=64, image_size=16)
>>> images = next(iter(dataset.batches(32, seed=1)))
>>> images.shape.as_list(), [factor.name for factor in dataset.factor_info[:3]]
([32, 16, 16, 3], ['floor_hue', 'wall_hue', 'object_hue'])
"""

from .arrays import from_arrays
from .dataset import Dataset, Factor, UnknownSplitError
from .dsprites_like import DSpritesLike
from .generated import GeneratedSet
from .image_stream import ImageStream
from .loading import GENERATED_SETS, is_tfrecord_folder, load
from .shapes3d_like import Shapes3DLike
from .streaming import stream
from .tfrecords import write_tfrecords

__all__ = [
    "GENERATED_SETS",
    "DSpritesLike",
    "Dataset",
    "Factor",
    "GeneratedSet",
    "ImageStream",
    "Shapes3DLike",
    "UnknownSplitError",
    "from_arrays",
    "is_tfrecord_folder",
    "load",
    "stream",
    "write_tfrecords",
]
