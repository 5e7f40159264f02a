"""Whether the figures of a run can be trusted: health checks, strength of attacks, quality and precision."""
