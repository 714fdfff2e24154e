import Foundation

public enum SignatureState: String, Sendable {
    case notSigned = "not signed"
    case unknownKey = "signed by an unknown key"
    case trustedKey = "signed by a trusted key"
}

/// Check SIGNATURE (ECDSA over P-256 with SHA-256) against the bytes of bundle.json.
///
/// - Parameter trustedKey: PEM of the public key that must have signed; without one any signer, or none, is accepted.
func verifySignature(manifest: Data, signature: Data, trustedKey: String? = nil) throws -> SignatureState {
    guard let document = try? Json.parse(signature), let algorithm = document["algorithm"]?.text,
        let digest = document["sha256"]?.text
    else { throw OnParError.signatureInvalid("SIGNATURE is damaged; get the bundle again") }
    if digest != sha256(manifest) {
        throw OnParError.signatureInvalid("bundle.json differs from its SIGNATURE; get the bundle again")
    }
    switch algorithm {
    case "none":
        guard trustedKey == nil else {
            throw OnParError.signatureInvalid(
                "the bundle is not signed; export it with --signing-key for the trusted key")
        }
        return .notSigned
    case "ecdsa-p256-sha256":
        return try verifyKey(manifest, document, trustedKey)
    default:
        throw OnParError.signatureInvalid(
            "SIGNATURE uses '\(algorithm)'; allowed: ecdsa-p256-sha256, none; update onpar")
    }
}

private func verifyKey(_ manifest: Data, _ document: Json, _ trustedKey: String?) throws -> SignatureState {
    guard let key = document["public_key"]?.text.flatMap(P256Key.init),
        let value = document["signature"]?.text.flatMap({ Data(base64Encoded: $0) }), key.verifies(value, of: manifest)
    else { throw OnParError.signatureInvalid("SIGNATURE does not fit bundle.json; get the bundle again") }
    guard let trustedKey else { return .unknownKey }
    guard P256Key(pem: trustedKey) == key else {
        throw OnParError.signatureInvalid(
            "the bundle is signed by another key than the trusted one; get it from its maker again")
    }
    return .trustedKey
}
