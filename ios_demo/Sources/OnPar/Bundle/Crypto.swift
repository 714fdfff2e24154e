import Foundation

// Two thin sides with the same three functions: CryptoKit on Apple systems, OpenSSL elsewhere.
#if canImport(CryptoKit)
    import CryptoKit

    /// Lower-case hex SHA-256.
    func sha256(_ content: Data) -> String {
        SHA256.hash(data: content).map { String(format: "%02x", $0) }.joined()
    }

    struct P256Key: Equatable {
        private let key: P256.Signing.PublicKey

        /// nil if it is no P-256 public key in PEM form.
        init?(pem: String) {
            guard let key = try? P256.Signing.PublicKey(pemRepresentation: pem) else { return nil }
            self.key = key
        }

        static func == (a: P256Key, b: P256Key) -> Bool { a.key.rawRepresentation == b.key.rawRepresentation }

        func verifies(_ signature: Data, of content: Data) -> Bool {
            guard let parsed = try? P256.Signing.ECDSASignature(derRepresentation: signature) else { return false }
            return key.isValidSignature(parsed, for: content)
        }
    }
#else
    import COpenSSL

    /// Lower-case hex SHA-256.
    func sha256(_ content: Data) -> String {
        var digest = [UInt8](repeating: 0, count: Int(SHA256_DIGEST_LENGTH))
        content.withUnsafeBytes { _ = SHA256($0.bindMemory(to: UInt8.self).baseAddress, $0.count, &digest) }
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: digest.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    final class P256Key: Equatable {
        private let key: OpaquePointer

        /// nil if it is no P-256 public key in PEM form.
        init?(pem: String) {
            let bytes = Array(pem.utf8)
            let source = BIO_new_mem_buf(bytes, Int32(bytes.count))
            defer { BIO_free(source) }
            guard let key = PEM_read_bio_PUBKEY(source, nil, nil, nil) else { return nil }
            var name = [CChar](repeating: 0, count: 32)
            guard EVP_PKEY_get_group_name(key, &name, name.count, nil) == 1, String(cString: name) == "prime256v1"
            else {
                EVP_PKEY_free(key)
                return nil
            }
            self.key = key
        }

        deinit { EVP_PKEY_free(key) }

        static func == (a: P256Key, b: P256Key) -> Bool { EVP_PKEY_eq(a.key, b.key) == 1 }

        func verifies(_ signature: Data, of content: Data) -> Bool {
            let context = EVP_MD_CTX_new()
            defer { EVP_MD_CTX_free(context) }
            guard EVP_DigestVerifyInit(context, nil, EVP_sha256(), nil, key) == 1 else { return false }
            let (given, message) = ([UInt8](signature), [UInt8](content))
            return EVP_DigestVerify(context, given, given.count, message, message.count) == 1
        }
    }
#endif
