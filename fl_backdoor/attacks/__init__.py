"""What a malicious client does: triggers, data poisoning, model poisoning, schedule."""
