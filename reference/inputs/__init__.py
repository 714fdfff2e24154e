"""From files and camera frames to tensors."""
