"""Checkpoints of a training that can break off at any moment, and how to go on from them."""

from keras_rkm.checkpoints.callbacks import ResumeTraining, SaveCheckpoints
from keras_rkm.checkpoints.sealed_model import DamagedCheckpointError
from keras_rkm.checkpoints.store import Checkpoint, CheckpointStore
from keras_rkm.checkpoints.training_state import Position

__all__ = [
    "Checkpoint",
    "CheckpointStore",
    "DamagedCheckpointError",
    "Position",
    "ResumeTraining",
    "SaveCheckpoints",
]
