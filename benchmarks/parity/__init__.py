"""palpate beside other libraries, image by image: `python -m benchmarks.parity`."""
