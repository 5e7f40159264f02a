"""What an audit costs beside its attack: `python -m benchmarks.audit_overhead`."""
