"""What goes wrong, done on purpose: each drill says what was lost by it, and nothing should be."""
