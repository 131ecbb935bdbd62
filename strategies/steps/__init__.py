"""Parts of a chain: what is done to updates before a rule, or to the model after it."""
