"""Accuracy, backdoor success and detection."""
