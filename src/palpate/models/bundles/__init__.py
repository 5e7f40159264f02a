"""What a MONAI bundle's configuration says, read as plain values: its network, its transforms. No code of it runs."""
