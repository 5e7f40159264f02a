"""File formats of images, one module each, and the registry that finds the format of a file by its content."""
