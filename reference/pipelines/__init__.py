"""Several steps that make one result: faces, depth, reconstruction, video."""
