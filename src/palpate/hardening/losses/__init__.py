"""Training losses: one value per image, at least 0."""
