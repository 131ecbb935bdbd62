"""What a malicious client does to its update before it sends it, one manipulation a file."""
