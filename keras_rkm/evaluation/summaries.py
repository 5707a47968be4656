"""An evaluation as pictures, and in TensorBoard."""

import numpy as np
import tensorflow as tf

from keras_rkm import visualization

from .results import Evaluation

# The matrices worth a look, with a title for each.
_TITLES = {
    "dci_lasso": "DCI, Lasso",
    "dci_random_forest": "DCI, random forest",
    "dci_gradient_boosting": "DCI, gradient boosting",
    "mutual_information_gap": "mutual information",
}


def importance_picture(evaluation: Evaluation) -> np.ndarray | None:
    """Heat maps of how much each axis counts for each factor, by the measures that say so.

    Args:
        evaluation: `Evaluation`.

    Returns:
        A uint8 array of shape `(height, width, 3)`, or None if none of them was taken.
    """
    reports = {
        title: evaluation.measured[name].report
        for name, title in _TITLES.items()
        if name in evaluation.measured
    }
    if not reports:
        return None
    first = next(iter(reports.values()))
    return visualization.heat_maps(
        {title: report.matrix for title, report in reports.items()},
        row_labels=[f"axis {number}" for number in range(1, len(first.row_names) + 1)],
        column_labels=first.column_names,
    )


def write_summaries(evaluation: Evaluation) -> None:
    """Writes all scalars and the picture to TensorFlow's default summary writer.

    The tags are `group/measure/score`, and `disentanglement/importances` for the picture.

    Args:
        evaluation: `Evaluation`.
    """
    for tag, value in evaluation.scalars().items():
        tf.summary.scalar(tag, value)
    picture = importance_picture(evaluation)
    if picture is not None:
        tf.summary.image("disentanglement/importances", picture[np.newaxis])
