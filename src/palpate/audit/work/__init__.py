"""The work of an audit: attacks on shards of images, and their records, survival, traces and pictures."""
