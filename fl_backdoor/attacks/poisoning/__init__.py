"""Which training samples a malicious client changes and how, one way a file; may import triggers."""
