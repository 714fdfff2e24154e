"""What the models are: PyTorch networks with their pre- and postprocessing. Knows no file format and no device."""
