"""The apps refuse unknown keys in bundle.json, so they must know every key that Python writes."""

import dataclasses
import re
from pathlib import Path

import pytest

from reference.spec import PostprocessSpec, PreprocessSpec
from sdk_build.bundle.manifest import FileEntry, GoldenCase, GoldenTensor, Manifest, ModelFile, TensorEntry
from sdk_build.proof.parity import Check

ROOT = Path(__file__).parent.parent
READERS = (
    "android_demo/onpar/src/main/kotlin/org/onpar/bundle/Manifest.kt",
    "ios_demo/Sources/OnPar/Bundle/Manifest.swift",
    "web_demo/src/onpar/bundle/manifest.ts",
)
KINDS = (Manifest, PreprocessSpec, PostprocessSpec, ModelFile, TensorEntry, GoldenCase, GoldenTensor, Check, FileEntry)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_key_is_known(reader, kind):
    text = re.sub(r"[\"']\s*\+\s*[\"']", "", (ROOT / reader).read_text(encoding="utf-8"))
    known = [{key.rstrip("?") for key in line.split()} for line in re.findall(r"[\"']([a-z0-9_? ]+)[\"']", text)]
    wanted = {field.name for field in dataclasses.fields(kind)}
    assert any(wanted <= keys for keys in known), f"{reader} lacks a key of {kind.__name__}: {sorted(wanted)}"
