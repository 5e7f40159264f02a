"""The report as people read it: one HTML file, and the summary in the terminal."""
