"""From a picture to a rigged figure (document I, row I9): mask, contour, mesh, skeleton, skin."""
