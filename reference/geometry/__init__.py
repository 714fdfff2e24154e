"""Meshes, depth images, voxels and pictures of them, in numpy.

All of it shares one frame, the canonical cube [-1, 1]^3: x to the right, y up, z towards the viewer, who
looks along -z with an orthographic projection. Image row 0 is y = +1, column 0 is x = -1, pixel centres lie
at (i + 0.5). A voxel grid is ``V[d, row, col]`` with d = 0 nearest to the viewer (z = +1), so that the pixel
``(row, col)`` of a depth image and the voxel column ``V[:, row, col]`` belong together.
"""
