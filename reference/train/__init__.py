"""Training: ``python -m reference.train NAME --data DIR``."""
