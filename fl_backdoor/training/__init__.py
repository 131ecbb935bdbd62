"""Local training and evaluation on one device. Knows no attack and not Flower."""
