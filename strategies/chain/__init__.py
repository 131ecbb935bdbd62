"""Defences one after the other: the chain, and the kinds of steps that it takes. Knows no step and no rule."""
