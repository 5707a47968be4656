"""Pictures of images, traversals, spectra, latents and training curves, as arrays.

Every function but `pixels` and those that write files returns a uint8 array of shape
`(height, width, 3)`, dark on white, which `save_png` writes to a file and TensorBoard takes as it
is; `traversal_frames` returns one for every frame, and `save_animation` writes them. Images come in
as floats in [0, 1] or as uint8, with one channel or three. Small images are enlarged by whole
factors, every pixel becoming a square, so that one can see what is in them.
"""

from .distributions import histograms, scatter_plots
from .files import save_animation, save_png
from .grids import comparison_grid, image_grid, traversal_frames, traversal_grid
from .pixels import pixels
from .plots import heat_maps, spectrum_plot, training_curves
from .projector import write_projector

__all__ = [
    "comparison_grid",
    "heat_maps",
    "histograms",
    "image_grid",
    "pixels",
    "save_animation",
    "save_png",
    "scatter_plots",
    "spectrum_plot",
    "training_curves",
    "traversal_frames",
    "traversal_grid",
    "write_projector",
]
