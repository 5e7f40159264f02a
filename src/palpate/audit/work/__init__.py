"""The work of an audit: attacks on shards of images, their records, survival, traces and pictures."""
