"""Flower engines that run the two apps: Ray on one machine or many, and SuperNodes. Knows no `runner`."""
