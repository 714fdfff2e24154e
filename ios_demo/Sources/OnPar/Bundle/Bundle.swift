import Foundation

/// A bundle: read, checked against its checksums and signature, and only then used.
public final class Bundle: Sendable {
    public let folder: URL
    public let manifest: Manifest
    public let signature: SignatureState
    /// SHA-256 of bundle.json: which very bundle this is.
    public let sha256: String
    private let listed: Set<String>

    public var name: String { folder.lastPathComponent }

    /// Open a folder and check its signature and every checksum.
    ///
    /// - Parameter trustedKey: PEM of the public key that must have signed it.
    public init(_ folder: URL, trustedKey: String? = nil) throws {
        let name = folder.lastPathComponent
        guard let content = try? Data(contentsOf: folder.appendingPathComponent("bundle.json")) else {
            throw OnParError.bundleNotFound("\(name) has no bundle.json; give a folder that sdk_build.export wrote")
        }
        manifest = try Manifest(parsing: content)
        guard let signature = try? Data(contentsOf: folder.appendingPathComponent("SIGNATURE")) else {
            throw OnParError.checksumMismatch("\(name) lacks SIGNATURE; get the bundle again")
        }
        self.signature = try verifySignature(manifest: content, signature: signature, trustedKey: trustedKey)
        self.folder = folder
        sha256 = OnPar.sha256(content)
        listed = Set(manifest.files.map(\.path))
        for entry in manifest.files { try Bundle.check(entry, in: folder) }
        if let extra = Bundle.paths(in: folder).first(where: { !listed.contains($0) }) {
            throw OnParError.bundleInvalid("\(name) holds \(extra), which bundle.json does not list; remove it")
        }
    }

    /// Where a file or folder that bundle.json lists lies.
    public func url(_ path: String) throws -> URL {
        guard listed.contains(path) || listed.contains(where: { $0.hasPrefix(path + "/") }) else {
            throw OnParError.bundleInvalid("bundle.json does not list '\(path)'; export the bundle again")
        }
        return folder.appendingPathComponent(path)
    }

    /// A file that bundle.json lists.
    public func file(_ path: String) throws -> Data { try Data(contentsOf: url(path)) }

    /// The artifact for a runtime, if the bundle has one.
    public func artifact(_ runtime: String) -> ModelFile? { manifest.modelFiles.first { $0.runtime == runtime } }

    /// The stored values of a golden tensor: all of them, or every stride-th.
    public func golden(_ tensor: GoldenTensor) throws -> TensorValues {
        let content = try file(tensor.file)
        let (size, width) = (tensor.tensor.size, tensor.tensor.dtype.bytes)
        guard tensor.stride >= 1, content.count == width * ((size + tensor.stride - 1) / tensor.stride) else {
            throw OnParError.bundleInvalid(
                "\(tensor.file) holds \(content.count) bytes, which does not fit its shape; export again")
        }
        return TensorValues(bytes: content, tensor.tensor.dtype)
    }

    private static func check(_ entry: FileEntry, in folder: URL) throws {
        guard let content = try? Data(contentsOf: folder.appendingPathComponent(entry.path)) else {
            throw OnParError.checksumMismatch("\(folder.lastPathComponent) lacks \(entry.path); get the bundle again")
        }
        if OnPar.sha256(content) != entry.sha256 {
            throw OnParError.checksumMismatch(
                "\(folder.lastPathComponent): \(entry.path) differs from its sha256; get the bundle again")
        }
    }

    private static func paths(in folder: URL) -> [String] {
        let all = FileManager.default.enumerator(atPath: folder.path)?.compactMap { $0 as? String } ?? []
        return all.filter { path in
            var isFolder: ObjCBool = false
            _ = FileManager.default.fileExists(atPath: folder.appendingPathComponent(path).path, isDirectory: &isFolder)
            return !isFolder.boolValue && path != "bundle.json" && path != "SIGNATURE"
        }
    }
}

/// The name to use in a file that imports Foundation too, which has a `Bundle` of its own.
public typealias OnParBundle = Bundle

func demand(_ result: String, of bundle: Bundle) throws {
    let given = bundle.manifest.postprocess.result
    if given != result {
        throw OnParError.badInput("\(bundle.name) gives \(given); this class needs a bundle that gives \(result)")
    }
}

/// Little-endian float32 values.
func floats(_ content: Data) -> [Float] {
    content.withUnsafeBytes { bytes in
        (0..<bytes.count / 4).map { i in
            Float(bitPattern: UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 4 * i, as: UInt32.self)))
        }
    }
}
