"""The rule that leaves out who keeps pulling the same way, and what it is made of (docs/defence.md)."""
