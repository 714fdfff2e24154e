/// What can go wrong. A message says what was received, what is allowed and what to do.
public enum OnParError: Error, Equatable, Sendable {
    /// Nothing, or no bundle, at that place.
    case bundleNotFound(String)
    /// bundle.json breaks the contract, or is of a newer format.
    case bundleInvalid(String)
    /// A file is missing or differs from its SHA-256.
    case checksumMismatch(String)
    /// SIGNATURE does not fit, or is not by the trusted key.
    case signatureInvalid(String)
    /// The runtime in the app can't load the artifact.
    case runtimeTooOld(String)
    /// No runtime in the app can run the bundle.
    case backendUnavailable(String)
    /// A picture, frame, depth map, box or call that can't be used.
    case badInput(String)

    /// The name that the other languages use.
    public var name: String {
        switch self {
        case .bundleNotFound: "BundleNotFound"
        case .bundleInvalid: "BundleInvalid"
        case .checksumMismatch: "ChecksumMismatch"
        case .signatureInvalid: "SignatureInvalid"
        case .runtimeTooOld: "RuntimeTooOld"
        case .backendUnavailable: "BackendUnavailable"
        case .badInput: "BadInput"
        }
    }

    public var message: String {
        switch self {
        case .bundleNotFound(let text), .bundleInvalid(let text), .checksumMismatch(let text),
            .signatureInvalid(let text), .runtimeTooOld(let text), .backendUnavailable(let text), .badInput(let text):
            text
        }
    }
}
