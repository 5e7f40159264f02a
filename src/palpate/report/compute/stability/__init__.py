"""The figures, maps and sentences of the part on stability."""
