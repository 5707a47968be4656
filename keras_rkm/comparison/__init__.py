"""Studies: methods compared at equal networks, images, steps and tuning, over seeds."""

from .cells import load_images
from .gallery import write_gallery
from .report import Choice, choose, paired_interval, to_markdown, write_csv
from .runner import Finished, run_cells
from .study import Cell, Study, StudyError, parse_study, read_study
from .trials import write_cell_trial

__all__ = [
    "Cell",
    "Choice",
    "Finished",
    "Study",
    "StudyError",
    "choose",
    "load_images",
    "paired_interval",
    "parse_study",
    "read_study",
    "run_cells",
    "to_markdown",
    "write_cell_trial",
    "write_csv",
    "write_gallery",
]
