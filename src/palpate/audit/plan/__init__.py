"""The plan of an audit: read, checked, and made into attacks with identities. It does not load images or models."""
