"""SIGNATURE: who made a bundle, and that its manifest is untouched.

ECDSA over P-256 with SHA-256, in DER: the one scheme that Android from API 26, CryptoKit and WebCrypto all verify
without a library. Without a key the file says that nobody signed; integrity then rests on the checksums alone.
"""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

from reference.errors import BadInput
from sdk_build.errors import SignatureInvalid

UNSIGNED = "none"
ALGORITHM = "ecdsa-p256-sha256"


def sign(manifest: bytes, key_file: Path | None) -> bytes:
    """The content of SIGNATURE for the bytes of bundle.json.

    Args:
        key_file: PEM file with a P-256 private key, or None to leave the bundle unsigned.

    Raises:
        BadInput: the key can't be read or is of another kind.
    """
    document: dict[str, Any] = {"algorithm": UNSIGNED, "sha256": hashlib.sha256(manifest).hexdigest()}
    if key_file is not None:
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        key = _load(key_file, private=True)
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        signature = key.sign(manifest, ec.ECDSA(hashes.SHA256()))
        document |= {
            "algorithm": ALGORITHM,
            "public_key": public.decode(),
            "signature": base64.b64encode(signature).decode(),
        }
    return (json.dumps(document, indent=2) + "\n").encode()


def verify(manifest: bytes, signature: bytes, trusted: Path | None) -> str:
    """Check SIGNATURE against bundle.json.

    Args:
        trusted: PEM file with the public key that must have signed, or None to accept any signer, or none.

    Returns:
        ``signed by a trusted key``, ``signed by an unknown key`` or ``not signed``.

    Raises:
        SignatureInvalid: it does not fit, or the bundle is not signed by the trusted key.
    """
    try:
        document = json.loads(signature)
        algorithm, digest = document["algorithm"], document["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise SignatureInvalid("SIGNATURE is damaged; export the bundle again") from error
    if digest != hashlib.sha256(manifest).hexdigest():
        raise SignatureInvalid("bundle.json differs from its SIGNATURE; export the bundle again")
    if algorithm == UNSIGNED:
        if trusted is not None:
            raise SignatureInvalid(f"the bundle is not signed; export it with --signing-key for the key in {trusted}")
        return "not signed"
    if algorithm != ALGORITHM:
        raise SignatureInvalid(f"SIGNATURE uses {algorithm!r}; allowed: {ALGORITHM}, {UNSIGNED}; export it again")
    _check(manifest, document, trusted)
    return "signed by an unknown key" if trusted is None else "signed by a trusted key"


def _check(manifest: bytes, document: dict[str, Any], trusted: Path | None) -> None:
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        key = serialization.load_pem_public_key(document["public_key"].encode())
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            raise ValueError("no P-256 key")
        key.verify(base64.b64decode(document["signature"], validate=True), manifest, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SignatureInvalid("SIGNATURE does not fit bundle.json; export the bundle again") from error
    if trusted is not None:
        numbers = key.public_numbers()
        if numbers != _load(trusted, private=False).public_numbers():
            raise SignatureInvalid(f"the bundle is signed by another key than {trusted}; get it from its maker again")


def _load(path: Path, private: bool) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    kind = "private" if private else "public"
    try:
        data = path.read_bytes()
        key = serialization.load_pem_private_key(data, None) if private else serialization.load_pem_public_key(data)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadInput(
            f"{path} is no {kind} key in PEM form ({error}); make one: openssl ecparam -name prime256v1 -genkey"
        ) from error
    expected = ec.EllipticCurvePrivateKey if private else ec.EllipticCurvePublicKey
    if not isinstance(key, expected) or not isinstance(key.curve, ec.SECP256R1):
        raise BadInput(f"{path} is no P-256 {kind} key; make one: openssl ecparam -name prime256v1 -genkey")
    return key
