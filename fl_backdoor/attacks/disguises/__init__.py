"""How a malicious client that knows of defences hides what it sends, one way a file."""
