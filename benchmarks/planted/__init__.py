"""Planted victims: models and plans whose figures are known to be wrong, and honest ones."""
