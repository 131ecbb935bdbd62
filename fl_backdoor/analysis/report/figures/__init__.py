"""One figure a file: each turns runs into a figure as data, or into None where there is nothing to show."""
