"""What a model's outputs mean, per task.

Public modules, imported by their full names: this package imports nothing, so that it costs nothing.
"""

__all__ = ["classification", "detection", "goals", "multilabel", "multilabel_goals", "segmentation"]
