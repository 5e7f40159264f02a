"""Plans, and how they are carried out: resumable, by identity, one record per image, attack and budget."""
