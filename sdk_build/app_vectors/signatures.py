"""Signatures with their outcomes, for the tests of the apps (:mod:`sdk_build.app_vectors`)."""

from __future__ import annotations

import base64
import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

from reference.errors import OnParError
from sdk_build.bundle.signing import verify

Json = dict[str, Any]


def signatures() -> list[Json]:
    """Manifests with SIGNATURE files: good, unsigned, damaged, of another signer, of another scheme."""
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    manifest = b'{"format_version": 1}\n'
    keys = [ec.derive_private_key(number, ec.SECP256R1()) for number in (20_261, 20_262)]
    pems = [
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
        for key in keys
    ]
    # RFC 6979 makes a signature depend on key and message alone, so that these vectors stay the same.
    scheme = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
    signed, other, unsigned = (_signature(manifest, pem, value) for pem, value in (
        (pems[0], keys[0].sign(manifest, scheme)),
        (pems[0], keys[0].sign(manifest + b" ", scheme)),
        (None, b""),
    ))  # fmt: skip
    rows: list[tuple[str, bytes, Any, str | None]] = [
        ("trusted", manifest, signed, pems[0]),
        ("unknown signer", manifest, signed, None),
        ("another signer", manifest, signed, pems[1]),
        ("unsigned", manifest, unsigned, None),
        ("unsigned but a key is wanted", manifest, unsigned, pems[0]),
        ("changed manifest", manifest + b" ", signed, None),
        ("signature of other bytes", manifest, other, None),
        ("unknown scheme", manifest, {**signed, "algorithm": "rsa"}, None),
        ("no JSON object", manifest, ["none"], None),
        ("no signature", manifest, {k: v for k, v in signed.items() if k != "signature"}, None),
        ("signature is no base64", manifest, {**signed, "signature": "%%%"}, None),
    ]
    return [_signature_case(*row) for row in rows]


def _signature(manifest: bytes, pem: str | None, value: bytes) -> Json:
    document: Json = {"algorithm": "none", "sha256": hashlib.sha256(manifest).hexdigest()}
    if pem is not None:
        document |= {"algorithm": "ecdsa-p256-sha256", "public_key": pem, "signature": base64.b64encode(value).decode()}
    return document


def _signature_case(name: str, manifest: bytes, document: Any, trusted: str | None) -> Json:
    content = json.dumps(document).encode()
    with tempfile.TemporaryDirectory() as folder:
        key = Path(folder) / "key.pem"
        key.write_text(trusted or "")
        try:
            outcome = verify(manifest, content, key if trusted else None)
        except OnParError as error:
            outcome = type(error).__name__
    return {
        "name": name,
        "manifest": base64.b64encode(manifest).decode(),
        "signature": base64.b64encode(content).decode(),
        "trusted_key": trusted,
        "outcome": outcome,
    }
