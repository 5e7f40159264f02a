"""Labelled and annotated images: readers, tables and a look at what lies in a folder. NumPy only, no torch."""
