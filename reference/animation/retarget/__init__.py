"""A source's clip drives a figure (document I, rows I11 to I14): node mapping, topology and node alignment."""
