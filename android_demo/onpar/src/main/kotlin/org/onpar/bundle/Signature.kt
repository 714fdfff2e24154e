package org.onpar

import java.security.GeneralSecurityException
import java.security.KeyFactory
import java.security.MessageDigest
import java.security.Signature
import java.security.interfaces.ECPublicKey
import java.security.spec.X509EncodedKeySpec
import java.util.Base64
import org.json.JSONException
import org.json.JSONObject

enum class SignatureState(val text: String) {
    NOT_SIGNED("not signed"),
    UNKNOWN_KEY("signed by an unknown key"),
    TRUSTED_KEY("signed by a trusted key"),
}

/**
 * Check SIGNATURE (ECDSA over P-256 with SHA-256) against the bytes of bundle.json.
 *
 * @param trustedKey PEM of the public key that must have signed; without one any signer, or none, is accepted.
 */
fun verifySignature(manifest: ByteArray, signature: ByteArray, trustedKey: String? = null): SignatureState {
    val document = parse(signature)
    if (document.opt("sha256") != sha256(manifest)) {
        throw SignatureInvalid("bundle.json differs from its SIGNATURE; get the bundle again")
    }
    when (val algorithm = document.opt("algorithm")) {
        "none" -> {
            if (trustedKey == null) return SignatureState.NOT_SIGNED
            throw SignatureInvalid("the bundle is not signed; export it with --signing-key for the trusted key")
        }
        "ecdsa-p256-sha256" -> Unit
        else -> throw SignatureInvalid("SIGNATURE uses '$algorithm'; allowed: ecdsa-p256-sha256, none; update onpar")
    }
    val key = publicKey(document.optString("public_key"))
    if (key == null || !fits(manifest, document.optString("signature"), key)) {
        throw SignatureInvalid("SIGNATURE does not fit bundle.json; get the bundle again")
    }
    if (trustedKey == null) return SignatureState.UNKNOWN_KEY
    if (publicKey(trustedKey)?.w != key.w) {
        throw SignatureInvalid("the bundle is signed by another key than the trusted one; get it from its maker again")
    }
    return SignatureState.TRUSTED_KEY
}

/** Lower-case hex SHA-256. */
fun sha256(content: ByteArray): String =
    MessageDigest.getInstance("SHA-256").digest(content).joinToString("") { "%02x".format(it) }

private fun parse(signature: ByteArray): JSONObject {
    try {
        val document = JSONObject(String(signature, Charsets.UTF_8))
        if (document.has("algorithm") && document.has("sha256")) return document
    } catch (_: JSONException) {
        // Said below, in the words that fit both.
    }
    throw SignatureInvalid("SIGNATURE is damaged; get the bundle again")
}

private fun fits(manifest: ByteArray, signature: String, key: ECPublicKey): Boolean =
    try {
        val verifier = Signature.getInstance("SHA256withECDSA")
        verifier.initVerify(key)
        verifier.update(manifest)
        verifier.verify(Base64.getDecoder().decode(signature))
    } catch (_: GeneralSecurityException) {
        false
    } catch (_: IllegalArgumentException) { // no base64
        false
    }

/** A P-256 key in PEM form, or null. */
private fun publicKey(pem: String): ECPublicKey? {
    val body = pem.substringAfter("-----BEGIN PUBLIC KEY-----", "").substringBefore("-----END PUBLIC KEY-----", "")
    return try {
        val der = Base64.getMimeDecoder().decode(body)
        val key = KeyFactory.getInstance("EC").generatePublic(X509EncodedKeySpec(der)) as? ECPublicKey
        key?.takeIf { it.params.curve.field.fieldSize == 256 }
    } catch (_: GeneralSecurityException) {
        null
    } catch (_: IllegalArgumentException) {
        null
    }
}
