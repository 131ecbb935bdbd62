"""Flower engines that run the two apps."""
