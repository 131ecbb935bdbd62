"""Attacks and their parts: triggers, poisoning, training, updates, schedule; no strategy, no client."""
