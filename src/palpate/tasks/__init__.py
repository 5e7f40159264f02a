"""What a model's outputs mean, per task."""
