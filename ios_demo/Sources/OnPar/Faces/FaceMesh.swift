import Foundation

private let topologyFile = "topology.safetensors"
/// Landmarks of the jaw, which wander to the visible outline.
private let jaw = 17
private let chin = 8
private let noseBase = 33
private let rightEyeCorner = 36
private let leftEyeCorner = 45
/// Quaternion w, x, y, z of any length, scale, shift x and y.
private let poseLength = 7

/// What the meshes of a bundle share. The first 68 vertices are the landmarks, in the order of 300-W.
public final class FaceTopology: Sendable {
    public let vertexCount: Int
    /// Three numbers of vertices each, counter-clockwise seen from outside.
    public let triangles: [Int]
    /// For each landmark of the jaw, vertices from it towards the middle of the face.
    private let contour: [Int]
    /// Where the jaw of an upright face looks at each of its landmarks.
    private let outward: [Float]

    /// The topology that a bundle carries.
    public convenience init(of bundle: Bundle) throws {
        try self.init(parsing: bundle.file(topologyFile), name: "\(bundle.name): \(topologyFile)")
    }

    init(parsing content: Data, name: String = topologyFile) throws {
        let tensors = try SafeTensors(content, name, kind: "face topology", advice: "export the bundle again")
        let count = try tensors.length("mean")
        guard count >= facePoints else {
            throw tensors.damaged("\(count) vertices; needed: the \(facePoints) landmarks")
        }
        vertexCount = count
        triangles = try tensors.integers("faces", [tensors.length("faces"), 3], 0..<count)
        contour = try tensors.integers("contour", [jaw, max(1, tensors.last("contour"))], 0..<count)
        outward = try tensors.floats("outward", [jaw, 2])
    }

    /// Numbers of the vertices that stand for the landmarks in this view; the jaw's lie on the visible outline.
    func landmarkVertices(_ verticesPx: [Float]) -> [Int] {
        func x(_ i: Int) -> Double { Double(verticesPx[3 * i]) }
        func y(_ i: Int) -> Double { Double(verticesPx[3 * i + 1]) }
        // The head's vertical in the picture, from the eyes' middle to the chin.
        let toX = x(chin) - (x(rightEyeCorner) + x(leftEyeCorner)) / 2
        let toY = y(chin) - (y(rightEyeCorner) + y(leftEyeCorner)) / 2
        let length = max((toX * toX + toY * toY).squareRoot(), 1e-9)
        let (downX, downY) = (toX / length, toY / length)
        let steps = contour.count / jaw
        var numbers = Array(0..<facePoints)
        for j in 0..<jaw {
            let (right, up) = (Double(outward[2 * j]), Double(outward[2 * j + 1]))
            let (directionX, directionY) = (right * downY - up * downX, -right * downX - up * downY)
            var best = contour[j * steps]
            for other in contour[j * steps..<(j + 1) * steps]
            where (x(other) - x(best)) * directionX + (y(other) - y(best)) * directionY > 0 { best = other }
            numbers[j] = best
        }
        return numbers
    }

    /// 68 projected landmarks, x, y, x, y, ...; the jaw's lie on the visible outline.
    func landmarksPx(_ verticesPx: [Float]) -> [Float] {
        var points = [Float](repeating: 0, count: 2 * facePoints)
        for (i, vertex) in landmarkVertices(verticesPx).enumerated() {
            (points[2 * i], points[2 * i + 1]) = (verticesPx[3 * vertex], verticesPx[3 * vertex + 1])
        }
        return points
    }
}

/// Degrees by which a face turns to the picture's right, looks down, and tilts counter-clockwise in the picture: yaw
/// first, then pitch, then roll, each about a fixed axis of the viewer's.
public struct FacePose: Sendable {
    public let yaw, pitch, roll: Double
}

/// What a face does, against its own neutral shape.
public struct FaceExpression: Sendable {
    /// Changes in shares of the neutral outer eye distance, about -0.1 to 0.5.
    public let mouthOpen, mouthWide, smile, browRaise: Double
    /// Of the person's left and right eye: 0 as neutral, 1 shut, negative wide open.
    public let leftEyeClosed, rightEyeClosed: Double
}

/// A face in three dimensions: V vertices, three numbers each.
public struct FaceMesh: Sendable {
    /// x and y in picture pixels, the centre of the first pixel at (0, 0); z towards the viewer in the same unit, 0 at
    /// the middle of the face.
    public let verticesPx: [Float]
    /// The same face without expression in decimetres, upright, x to the picture's right when it looks at the viewer, y
    /// up, z out of the face. One picture does not tell its true size.
    public let neutral: [Float]
    /// 3 x 3, row by row, from that frame to the viewer's (x right, y up, z towards the viewer).
    public let rotation: [Float]
    /// Pixels per decimetre.
    public let scalePx: Float
    /// x and y, where the origin of that frame lies in the picture.
    public let centerPx: [Float]
    /// The crop that the network saw.
    public let region: Region
    public let topology: FaceTopology

    /// Like `neutral`, with the expression: the face before its pose. Computed at every call.
    public func shape() -> [Float] {
        var shape = verticesPx
        let r = rotation.map(Double.init)
        let scale = Double(scalePx)
        for i in stride(from: 0, to: shape.count - 2, by: 3) {
            let x = (Double(verticesPx[i]) - Double(centerPx[0])) / scale
            let y = (Double(centerPx[1]) - Double(verticesPx[i + 1])) / scale
            let z = Double(verticesPx[i + 2]) / scale
            for k in 0..<3 { shape[i + k] = Float(x * r[k] + y * r[3 + k] + z * r[6 + k]) }
        }
        return shape
    }

    /// 68 projected landmarks, x, y, x, y, ...; the jaw's lie on the visible outline, as in 300-W.
    public func landmarksPx() -> [Float] { topology.landmarksPx(verticesPx) }

    public var poseDegrees: FacePose {
        let r = rotation.map(Double.init)
        let degrees = 180 / Double.pi
        return FacePose(
            yaw: atan2(-r[6], r[8]) * degrees, pitch: asin(min(max(r[7], -1), 1)) * degrees,
            roll: atan2(-r[1], r[4]) * degrees)
    }

    /// Computed at every call.
    public func expression() -> FaceExpression {
        let (now, rest) = (FaceMeasures(shape: shape()), FaceMeasures(shape: neutral))
        let size = rest.apart(rightEyeCorner, leftEyeCorner)
        return FaceExpression(
            mouthOpen: (now.mouthOpen - rest.mouthOpen) / size, mouthWide: (now.mouthWide - rest.mouthWide) / size,
            smile: (now.smile - rest.smile) / size, browRaise: (now.browRaise - rest.browRaise) / size,
            leftEyeClosed: 1 - now.leftEye / max(rest.leftEye, 1e-6),
            rightEyeClosed: 1 - now.rightEye / max(rest.rightEye, 1e-6))
    }

    /// The upright face with its expression as an OBJ file, in metres.
    public func toObj() -> String {
        let shape = shape()
        let triangles = topology.triangles
        var text = ""
        for i in stride(from: 0, to: shape.count - 2, by: 3) {
            text += "v \(shape[i] / 10) \(shape[i + 1] / 10) \(shape[i + 2] / 10)\n"
        }
        for i in stride(from: 0, to: triangles.count - 2, by: 3) {
            text += "f \(triangles[i] + 1) \(triangles[i + 1] + 1) \(triangles[i + 2] + 1)\n"
        }
        return text
    }
}

/// Distances between landmarks of an upright face, in its unit.
private struct FaceMeasures {
    let shape: [Float]

    var mouthOpen: Double { (apart(61, 67) + apart(62, 66) + apart(63, 65)) / 3 }
    var mouthWide: Double { apart(48, 54) }
    var smile: Double { (y(48) + y(54)) / 2 - y(noseBase) }
    var browRaise: Double {
        let brows: Double = (17..<27).map(y).reduce(0, +) / 10
        let eyes: Double = [36, 39, 42, 45].map(y).reduce(0, +) / 4
        return brows - eyes
    }
    var rightEye: Double { (apart(37, 41) + apart(38, 40)) / 2 }
    var leftEye: Double { (apart(43, 47) + apart(44, 46)) / 2 }

    func apart(_ a: Int, _ b: Int) -> Double {
        var squares = 0.0
        for k in 0..<3 {
            let difference = Double(shape[3 * a + k]) - Double(shape[3 * b + k])
            squares += difference * difference
        }
        return squares.squareRoot()
    }

    private func y(_ i: Int) -> Double { Double(shape[3 * i + 1]) }
}

func toFaceMesh(_ outputs: Tensors, _ context: Context, _ topology: FaceTopology) throws -> FaceMesh {
    let region = context.region
    var verticesPx = [Float](repeating: 0, count: 3 * topology.vertexCount)
    try fillVertices(outputs, context, &verticesPx)
    let (neutral, pose) = (try output(outputs, "neutral"), try output(outputs, "pose"))
    guard neutral.count == verticesPx.count, pose.count == poseLength else {
        throw OnParError.bundleInvalid(
            "\(context.manifest.id) gives \(neutral.count) neutral and \(pose.count) pose values; needed: "
                + "\(verticesPx.count) and \(poseLength); export the bundle again")
    }
    return FaceMesh(
        verticesPx: verticesPx, neutral: neutral, rotation: rotationOf(pose),
        scalePx: Float(Double(pose[4]) * region.width), centerPx: toPicture([pose[5], pose[6]], region), region: region,
        topology: topology)
}

/// Projects the vertices into `verticesPx`, the unit of `FaceMesh.verticesPx`.
func fillVertices(_ outputs: Tensors, _ context: Context, _ verticesPx: inout [Float]) throws {
    let (vertices, region) = (try output(outputs, "vertices"), context.region)
    guard vertices.count == verticesPx.count else {
        throw OnParError.bundleInvalid(
            "\(context.manifest.id) gives \(vertices.count / 3) vertices; its topology has \(verticesPx.count / 3); "
                + "export the bundle again")
    }
    for i in stride(from: 0, to: vertices.count - 2, by: 3) {
        verticesPx[i] = Float(Double(vertices[i]) * region.width + region.left - 0.5)
        verticesPx[i + 1] = Float(Double(vertices[i + 1]) * region.height + region.top - 0.5)
        verticesPx[i + 2] = Float(Double(vertices[i + 2]) * region.width)
    }
}

private func rotationOf(_ pose: [Float]) -> [Float] {
    let quaternion = pose[0..<4].map(Double.init)
    let length = max(quaternion.map { $0 * $0 }.reduce(0, +).squareRoot(), 1e-9)
    let q = quaternion.map { $0 / length }
    let (w, x, y, z) = (q[0], q[1], q[2], q[3])
    let first: [Double] = [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)]
    let second: [Double] = [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)]
    let third: [Double] = [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)]
    return (first + second + third).map { Float($0) }
}
