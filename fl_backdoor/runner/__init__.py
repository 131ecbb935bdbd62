"""The runs of one command line: composed, checked, worked off, recorded, resumed. Imports all but `main`."""
