"""Defences one after the other: the chain, and the kinds of steps that it takes. Knows no rule."""
