"""Rotations of latents that are found without labels, as functions on arrays of any model.

A rotation of the latents changes nothing that they know and nothing that a decoder can make of
them. `StiefelRKM.fit_principal_axes` applies them to its basis; other models apply them to arrays.
`find_polar_planes` goes on where rotations end: to angles, for factors that come round again.
"""

from .finding import METHODS, find_rotation
from .independent_components import ica_rotation
from .joint_diagonalization import joint_diagonalization_rotation
from .polar import Plane, PolarPlanes, find_polar_planes
from .rotation import Rotation, principal_axes_rotation

__all__ = [
    "METHODS",
    "Plane",
    "PolarPlanes",
    "Rotation",
    "find_polar_planes",
    "find_rotation",
    "ica_rotation",
    "joint_diagonalization_rotation",
    "principal_axes_rotation",
]
