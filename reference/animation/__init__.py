"""From the mask of a drawing to an animated character (document I, rows I9 to I14), in numpy and scipy.

The steps, each a module of small pure functions:

- ``mask``      a picture to the mask of its figure;
- ``shape``     mask to contour, contour to an inflated mesh with front and back;
- ``medial``    mask to a skeleton: medial axis, pruned, joints chosen (I9);
- ``bvh``, ``gltf``, ``library``  source skeletons with their clips, chosen by label (I10);
- ``mapping``   which source node drives which target node (I11);
- ``alignment`` both skeletons to one topology (I12);
- ``transfer``  node offsets, and the clip carried over (I13, I14);
- ``skinning``  how far each vertex follows each joint;
- ``glb``, ``character``, ``preview``  what leaves: a GLB file, the phone's file, pictures.

One frame for everything: x to the right, y up, z towards the viewer. A figure stands on y = 0 and is one unit tall.
Rotations are matrices in the axes of the rest pose, so that the rest pose is the identity at every joint.
"""
