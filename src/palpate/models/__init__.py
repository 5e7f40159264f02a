"""Models: loaders of what users bring, and the small classifier of the demo."""
