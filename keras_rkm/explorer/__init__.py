"""A model in one HTML file: sliders for its axes, decoded in the browser."""

from .decoder_steps import Step, decoder_steps
from .distribution import mixture_parameters
from .embedding import EmbeddedDecoder, embed_decoder
from .html import Axis, Server, Turn, explorer_page

__all__ = [
    "Axis",
    "EmbeddedDecoder",
    "Server",
    "Step",
    "Turn",
    "decoder_steps",
    "embed_decoder",
    "explorer_page",
    "mixture_parameters",
]
