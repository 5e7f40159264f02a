"""Press on a medical-image model and see where it gives."""
