"""Layouts in which labelled images lie on a disk, one module each."""
