"""Engines: where the shards of an audit are computed, in this process, in worker processes, or on a Ray cluster."""
