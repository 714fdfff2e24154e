"""SIGNATURE: who made a bundle. Keys are made here; none is stored."""

import base64
import json

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from reference.errors import BadInput
from sdk_build import export, verify
from sdk_build.bundle.files import MANIFEST, SIGNATURE, open_bundle
from sdk_build.bundle.signing import sign
from sdk_build.bundle.signing import verify as verify_signature
from sdk_build.errors import SignatureInvalid

CONTENT = b'{"format_version": 1}\n'


def write(key, folder, name, password=None):
    """(private, public) PEM files of a key."""
    cipher = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, cipher))
    public.write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return private, public


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """Key files by kind."""
    folder = tmp_path_factory.mktemp("keys")
    return {
        "p256": write(ec.generate_private_key(ec.SECP256R1()), folder, "p256"),
        "other": write(ec.generate_private_key(ec.SECP256R1()), folder, "other"),
        "p384": write(ec.generate_private_key(ec.SECP384R1()), folder, "p384"),
        "rsa": write(rsa.generate_private_key(65537, 2048), folder, "rsa"),
        "ed25519": write(ed25519.Ed25519PrivateKey.generate(), folder, "ed25519"),
        "locked": write(ec.generate_private_key(ec.SECP256R1()), folder, "locked", b"secret"),
    }


def test_a_signature_is_by_its_key_and_no_other(keys):
    private, public = keys["p256"]
    signature = sign(CONTENT, private)
    assert verify_signature(CONTENT, signature, public) == "signed by a trusted key"
    assert verify_signature(CONTENT, signature, None) == "signed by an unknown key"
    with pytest.raises(SignatureInvalid, match="signed by another key than .*other.pub; get it from its maker again"):
        verify_signature(CONTENT, signature, keys["other"][1])


def test_without_a_key_nobody_is_trusted(keys):
    signature = sign(CONTENT, None)
    assert verify_signature(CONTENT, signature, None) == "not signed"
    with pytest.raises(SignatureInvalid, match="not signed; export it with --signing-key for the key in .*p256.pub"):
        verify_signature(CONTENT, signature, keys["p256"][1])


def test_the_format_is_the_one_that_phones_verify(keys):
    """DER of two integers, over the bytes of bundle.json, with a SubjectPublicKeyInfo in PEM."""
    document = json.loads(sign(CONTENT, keys["p256"][0]))
    assert document["algorithm"] == "ecdsa-p256-sha256"
    assert document["public_key"].startswith("-----BEGIN PUBLIC KEY-----")
    der = base64.b64decode(document["signature"], validate=True)
    assert der[0] == 0x30
    assert der[2] == 0x02


def changed(keys, **entries):
    return json.dumps(json.loads(sign(CONTENT, keys["p256"][0])) | entries).encode()


def test_the_manifest_can_not_change_under_a_signature(keys):
    with pytest.raises(SignatureInvalid, match="bundle.json differs from its SIGNATURE"):
        verify_signature(CONTENT + b" ", sign(CONTENT, keys["p256"][0]), None)
    # Someone who also changes the digest meets the signature itself.
    other = json.loads(sign(CONTENT + b" ", None))["sha256"]
    with pytest.raises(SignatureInvalid, match="SIGNATURE does not fit bundle.json"):
        verify_signature(CONTENT + b" ", changed(keys, sha256=other), None)


@pytest.mark.parametrize(
    "entries",
    [
        {"signature": ""},
        {"signature": "not base64!"},
        {"signature": 5},
        {"signature": None},
        {"public_key": ""},
        {"public_key": 5},
        {"public_key": "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"},
    ],
)
def test_a_damaged_signature_is_a_clear_error(entries, keys):
    with pytest.raises(SignatureInvalid, match="SIGNATURE does not fit bundle.json; export the bundle again"):
        verify_signature(CONTENT, changed(keys, **entries), None)


@pytest.mark.parametrize("kind", ["p384", "rsa", "ed25519"])
def test_a_public_key_of_another_kind_is_refused(kind, keys):
    with pytest.raises(SignatureInvalid, match="does not fit"):
        verify_signature(CONTENT, changed(keys, public_key=keys[kind][1].read_text()), None)


@pytest.mark.parametrize("text", [b"", b"[]", b"null", b"{}", b"\xff", b'{"algorithm": "none"}'])
def test_a_signature_file_that_is_none(text):
    with pytest.raises(SignatureInvalid, match="SIGNATURE is damaged; export the bundle again"):
        verify_signature(CONTENT, text, None)


def test_an_unknown_algorithm_is_refused(keys):
    with pytest.raises(SignatureInvalid, match="uses 'md5'; allowed: ecdsa-p256-sha256, none"):
        verify_signature(CONTENT, changed(keys, algorithm="md5"), None)


@pytest.mark.parametrize("kind", ["p384", "rsa", "ed25519"])
def test_keys_of_another_kind_can_not_sign_or_be_trusted(kind, keys, refused):
    private, public = keys[kind]
    with refused(BadInput, private, "is no P-256 private key; make one: openssl"):
        sign(CONTENT, private)
    with refused(BadInput, public, "is no P-256 public key"):
        verify_signature(CONTENT, sign(CONTENT, keys["p256"][0]), public)


def test_what_is_no_key_is_named(keys, tmp_path, refused):
    text = tmp_path / "text.pem"
    text.write_text("hello")
    for bad in (text, tmp_path / "none.pem", tmp_path, keys["p256"][1]):
        with refused(BadInput, bad, "is no private key in PEM form", "make one: openssl"):
            sign(CONTENT, bad)


def test_an_encrypted_key_is_refused_without_asking(keys, refused):
    with refused(BadInput, keys["locked"][0], "Password"):
        sign(CONTENT, keys["locked"][0])


def test_export_refuses_an_unusable_key_before_any_work(keys, tmp_path, fails):
    arguments = ["--target", "web", "--output-dir", tmp_path / "dist", "--signing-key", keys["rsa"][0]]
    fails(export.main, arguments, 2, "BadInput", "is no P-256 private key")
    assert not (tmp_path / "dist").exists()


@pytest.fixture
def signed(bundle, keys):
    """A bundle with a signature."""
    (bundle / SIGNATURE).write_bytes(sign((bundle / MANIFEST).read_bytes(), keys["p256"][0]))
    return bundle


def test_a_signed_bundle_opens(signed, keys):
    assert open_bundle(signed).signature == "signed by an unknown key"
    assert open_bundle(signed, keys["p256"][1]).signature == "signed by a trusted key"


def test_verify_demands_the_given_key(signed, bundle, keys, fails):
    fails(verify.main, [signed, "--public-key", keys["other"][1]], 1, "SignatureInvalid", "another key")
    fails(verify.main, [signed, "--public-key", keys["rsa"][1]], 2, "BadInput", "is no P-256 public key")
    fails(
        verify.main, [signed, "--public-key", signed / "card.md"], 2, "BadInput", "card.md is no public key in PEM form"
    )
    fails(verify.main, [signed, "--public-key", signed / "none"], 2, "BadInput", "is no public key")


def test_verify_demands_a_signature(web_bundle, keys, fails):
    fails(verify.main, [web_bundle, "--public-key", keys["p256"][1]], 1, "SignatureInvalid: the bundle is not signed")


def test_stripping_a_signature_is_noticed(signed, keys, fails):
    (signed / SIGNATURE).write_bytes(sign((signed / MANIFEST).read_bytes(), None))
    fails(verify.main, [signed, "--public-key", keys["p256"][1]], 1, "not signed")
