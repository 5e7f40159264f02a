"""What a hardening gained and cost, on images that the training never saw and with attacks that it never used."""
