"""TensorFlow Serving as the tests need it: its loader through the C API, and an emulator of it."""
