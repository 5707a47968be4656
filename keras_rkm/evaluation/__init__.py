"""All measures of a model that its images allow.

>>> model = keras_rkm.models.StiefelRKM(
...     keras_rkm.networks.dense_encoder((4, 4, 1), 8, hidden_dims=(8,), seed=0),
...     keras_rkm.networks.dense_decoder(8, (4, 4, 1), hidden_dims=(8,), seed=1),
...     latent_dim=2,
... )
>>> images = np.random.default_rng(0).random((64, 4, 4, 1))
>>> evaluation = keras_rkm.evaluation.evaluate(model, images)
>>> sorted(evaluation.scalars())[0]
'orthogonality/orthogonality_of_variation/alignment'
>>> evaluation.skipped["dci_lasso"]
'the factors of the images are not known'
"""

from .evaluating import evaluate
from .hparams import write_trial
from .measures import MEASURES, PRESETS, Preset
from .results import Evaluation, Measured
from .summaries import importance_picture, write_summaries

__all__ = [
    "MEASURES",
    "PRESETS",
    "Evaluation",
    "Measured",
    "Preset",
    "evaluate",
    "importance_picture",
    "write_summaries",
    "write_trial",
]
