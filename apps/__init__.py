"""Command line programs on top of keras_rkm; installed as `keras_rkm.apps`."""

import os

# TensorFlow's notes and warnings would bury the one line that an error ends with; what it raises
# is an exception whatever the level.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
