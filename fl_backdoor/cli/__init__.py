"""The commands of ``fl-backdoor``, a module each, and the app that Flower starts. Imports any room."""
