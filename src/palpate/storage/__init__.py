"""The files of an audit: records and traces as Arrow shards with digests, and how they are read."""
