"""The report for people: one HTML file, and the summary in the terminal."""
