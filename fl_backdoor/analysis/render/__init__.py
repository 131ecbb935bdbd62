"""Tables for readers: text in rows, and its notes, written for a terminal, for GitHub or for LaTeX."""
