"""From the mask of a drawing to an animated character (document I, rows I9 to I14), in numpy and scipy.

The steps, each a folder of small pure functions:

- ``figure``   a picture to the mask of its figure, contour, inflated mesh with front and back, skeleton (I9), skin;
- ``motion``   skeletons and clips, read from BVH and glTF files, and a library of them, chosen by label (I10);
- ``retarget`` which source node drives which target node (I11), both skeletons to one topology (I12), node offsets and
  the clip carried over (I13, I14);
- ``output``   what leaves: a GLB file, the apps' character file, pictures.

One frame for everything: x to the right, y up, z towards the viewer. A figure stands on y = 0 and is one unit tall.
Rotations are matrices in the axes of the rest pose, so that the rest pose is the identity at every joint.
"""
