"""Pictures of images, traversals, spectra and training curves, as arrays.

Every function returns a uint8 array of shape `(height, width, 3)`, dark on white, which
`save_png` writes to a file and TensorBoard takes as it is; `traversal_frames` returns one for every
frame, and `save_animation` writes them. Images come in as floats in [0, 1] or as uint8, with one
channel or three. Small images are enlarged by whole factors, every pixel becoming a square, so that
one can see what is in them.
"""

from .files import save_animation, save_png
from .grids import comparison_grid, image_grid, traversal_frames, traversal_grid
from .plots import heat_maps, spectrum_plot, training_curves

__all__ = [
    "comparison_grid",
    "heat_maps",
    "image_grid",
    "save_animation",
    "save_png",
    "spectrum_plot",
    "training_curves",
    "traversal_frames",
    "traversal_grid",
]
