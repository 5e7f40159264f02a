"""The figures and the sentences of certificates."""
