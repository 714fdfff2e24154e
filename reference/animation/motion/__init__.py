"""Skeletons and clips, the files they are read from, and the library of source figures (document I, row I10)."""
