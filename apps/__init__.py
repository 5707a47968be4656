"""Command line programs on top of keras_rkm; installed as `keras_rkm.apps`."""
