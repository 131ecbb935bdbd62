"""BackdoorIndicator, which trains the model before clients get it."""
