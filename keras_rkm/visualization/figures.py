"""What all plots share: a figure that belongs to nobody, its colours, its picture."""

import numpy as np

COLORS = ("#3264a8", "#d9822b", "#4a9c5d", "#a8325e", "#7a6fb0", "#8a8a8a")


def new_figure(width: float, height: float):
    """A Matplotlib figure of its own: pyplot would keep it alive and pick a window system."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=120, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def drawn(figure) -> np.ndarray:
    """The picture of a figure, a uint8 array `(height, width, 3)`."""
    figure.canvas.draw()
    return np.array(figure.canvas.buffer_rgba())[..., :3]


def clean(axes) -> None:
    """Leaves out what is no data: half of the frame, and vertical lines."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=9)
