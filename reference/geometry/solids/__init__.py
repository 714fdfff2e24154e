"""Solids in a camera's space: the pinhole, the measured front, its union with a network's solid, and how good it is."""
