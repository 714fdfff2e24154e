import Foundation
import OnPar

/// The example of docs/embed.md on character files.
func animate(_ file: URL, timeMs: Double) throws -> String {
    // docs: begin
    let animator = try CharacterAnimator.fromFile(file)
    let vertices = try animator.pose(timeMs)
    let (faces, uvs) = (animator.character.faces, animator.character.uvs)
    return "\(vertices.count / 3) vertices, \(uvs.count / 2) uvs, \(faces.count / 3) triangles"
    // docs: end
}
