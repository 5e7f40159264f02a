"""What a perturbation may be."""
