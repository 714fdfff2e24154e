package org.onpar

import java.io.File

/** The example of docs/embed.md on character files. */
fun animate(file: File, timeMs: Double): String {
    // docs: begin
    val animator = CharacterAnimator.fromFile(file)
    val vertices = animator.pose(timeMs)
    val (faces, uvs) = animator.character.run { faces to uvs }
    return "${vertices.size / 3} vertices, ${uvs.size / 2} uvs, ${faces.size / 3} triangles"
    // docs: end
}
