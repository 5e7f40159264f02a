"""How long a plan takes, and how much memory and disk it needs, from a pilot on a few of its images."""
