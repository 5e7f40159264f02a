"""What happens to images in a hospital: export to 8 bits, JPEG, resampling, other windows, smoothing."""
