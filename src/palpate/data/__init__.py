"""Labelled and annotated images: readers, tables and the inspection of folders. NumPy only, no torch."""
