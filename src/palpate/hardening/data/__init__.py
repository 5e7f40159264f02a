"""Training images: split by patient, kept apart from the audit, cut to windows, augmented, in a fixed order."""
