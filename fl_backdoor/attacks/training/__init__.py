"""How a malicious client trains: what it minimises, and what binds its steps, one way a file."""
