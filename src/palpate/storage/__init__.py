"""What an audit stores: records and traces as Arrow shards, with digests, read back in full."""
