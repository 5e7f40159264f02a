"""Speed as ratios, measured side by side in one run; and the kill-and-resume trial."""
