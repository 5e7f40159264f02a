"""Measures of one image's outputs compared with its truth, for the records: figures with units, per structure."""
