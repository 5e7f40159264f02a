"""What is measured of one image's outputs against its truth, for the records: figures with units, per structure."""
