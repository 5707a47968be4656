"""Trained models as versions that TensorFlow Serving loads: one call, `export_for_serving`."""

from .manifest import verify_export
from .servability import check_servable
from .serving_export import export_for_serving
from .signatures import endpoints

__all__ = ["check_servable", "endpoints", "export_for_serving", "verify_export"]
