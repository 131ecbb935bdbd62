"""What the user sees while runs go on, here or elsewhere."""
