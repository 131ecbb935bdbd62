"""Benign and malicious Flower clients."""
