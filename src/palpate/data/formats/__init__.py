"""File formats of images, one module for each, and the registry that finds a file's format by its content."""
