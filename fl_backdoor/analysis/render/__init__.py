"""Tables for readers: text in rows, and its footnotes, written for a terminal, for GitHub or for LaTeX."""
