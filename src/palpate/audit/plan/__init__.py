"""The plan of an audit: read, checked, and made into attacks with identities. It loads no image and no model."""
