"""Data sets and augmentation: one loader per format."""
