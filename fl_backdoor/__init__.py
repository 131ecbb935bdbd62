"""Backdoor attacks on federated learning, and defences against them, on Flower."""

from fl_backdoor.core import home, own_packages

__version__ = "0.1.0"

own_packages.find_first()
home.see_that_there_is_one()
