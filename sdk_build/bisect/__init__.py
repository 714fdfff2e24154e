"""Which operation: the first place at which an artifact leaves the PyTorch network that it was made from."""
