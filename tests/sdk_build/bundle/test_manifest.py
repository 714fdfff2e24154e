"""bundle.json: its dataclasses, its published schema and its reader say the same."""

import dataclasses
import json
import typing
import warnings
from pathlib import Path

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import jsonschema

from reference import spec as spec_module
from reference.tasks import TASKS
from sdk_build.backends import RUNTIMES, TARGETS
from sdk_build.backends.quantizers.recipes import PRECISIONS
from sdk_build.bundle import manifest as manifest_module
from sdk_build.bundle.files import MANIFEST
from sdk_build.bundle.manifest import Manifest, parse
from sdk_build.errors import BundleInvalid
from sdk_build.proof.metrics import known_metrics

SCHEMA = json.loads((Path(__file__).parents[3] / "docs" / "bundle.schema.json").read_text())
JSON_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean"}


def dataclasses_of(kind, found=None):
    """A dataclass and all that its fields hold."""
    found = {} if found is None else found
    if dataclasses.is_dataclass(kind):
        found[kind.__name__] = kind
        for hint in typing.get_type_hints(kind).values():
            for inner in (hint, *typing.get_args(hint)):
                if getattr(inner, "__name__", "") not in found:
                    dataclasses_of(inner, found)
    return found


CLASSES = dataclasses_of(Manifest)


@pytest.fixture(scope="module")
def content(web_bundle):
    return (web_bundle / MANIFEST).read_bytes()


@pytest.fixture
def document(content):
    return json.loads(content)


@pytest.fixture(scope="module")
def validator():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    return jsonschema.Draft202012Validator(SCHEMA)


def schema_of(name):
    return SCHEMA if name == "Manifest" else SCHEMA["$defs"][name]


def assert_same_type(hint, schema, where):
    arguments = typing.get_args(hint)
    if type(None) in arguments:
        other, null = schema["anyOf"]
        assert null == {"type": "null"}, where
        assert_same_type(next(a for a in arguments if a is not type(None)), other, where)
    elif typing.get_origin(hint) is tuple:
        assert schema["type"] == "array", where
        if arguments[-1] is Ellipsis:
            assert_same_type(arguments[0], schema["items"], where)
        else:
            assert schema["items"] is False, where
            assert schema["minItems"] == len(arguments), where
            for argument, item in zip(arguments, schema["prefixItems"], strict=True):
                assert_same_type(argument, item, where)
    elif dataclasses.is_dataclass(hint):
        assert schema == {"$ref": f"#/$defs/{hint.__name__}"}, where
    else:
        assert schema["type"] == JSON_TYPES[hint], where


@pytest.mark.parametrize("name", CLASSES)
def test_the_schema_has_exactly_the_fields_of_the_dataclass(name):
    schema = schema_of(name)
    hints = typing.get_type_hints(CLASSES[name])
    names = [f.name for f in dataclasses.fields(CLASSES[name]) if f.metadata.get("in_json", True)]
    assert schema["additionalProperties"] is False
    assert list(schema["properties"]) == names
    assert schema["required"] == names  # to_bytes writes every field, defaults too
    for field in names:
        assert_same_type(hints[field], schema["properties"][field], f"{name}.{field}")


def test_the_schema_defines_nothing_else():
    assert set(SCHEMA["$defs"]) == set(CLASSES) - {"Manifest"}


@pytest.mark.parametrize(
    ("name", "field", "allowed"),
    [
        ("Manifest", "target", TARGETS),
        ("Manifest", "precision", PRECISIONS),
        ("Manifest", "task", TASKS),
        ("ModelFile", "runtime", RUNTIMES),
        ("ModelFile", "precision", PRECISIONS),
        ("Check", "metric", known_metrics()),
        ("TensorSpec", "layout", spec_module.LAYOUTS),
        ("TensorEntry", "layout", spec_module.LAYOUTS),
        ("TensorSpec", "dtype", spec_module.DTYPES),
        ("PreprocessSpec", "resize", spec_module.RESIZES),
        ("PreprocessSpec", "interpolation", spec_module.INTERPOLATIONS),
        ("PreprocessSpec", "color", spec_module.COLORS),
    ],
)
def test_the_schema_allows_the_values_of_the_code(name, field, allowed):
    assert schema_of(name)["properties"][field]["enum"] == list(allowed)


def test_the_schema_has_the_format_version_of_the_code():
    assert SCHEMA["properties"]["format_version"]["const"] == manifest_module.FORMAT_VERSION


def test_a_real_bundle_fits_the_schema(validator, document):
    assert [e.message for e in validator.iter_errors(document)] == []


def test_reading_and_writing_are_inverse(content):
    manifest = parse(content)
    assert manifest.to_bytes() == content
    assert parse(manifest.to_bytes()) == manifest
    assert manifest.size_bytes == sum(entry.bytes for entry in manifest.model_files) > 1_000_000


def change(document, where, value):
    """Set a nested entry; ``...`` removes it."""
    holder = document
    for key in where[:-1]:
        holder = holder[key]
    if value is ...:
        del holder[where[-1]]
    else:
        holder[where[-1]] = value
    return document


WRONG = [
    (("bytes",), 1, "unknown keys ['bytes']"),
    (("model_files", 0, "url"), "x", "ModelFile has unknown keys ['url']"),
    (("spec", "preprocess", "gamma"), 2.2, "PreprocessSpec has unknown keys ['gamma']"),
    (("golden", 0, "tensors", 0, "url"), "x", "GoldenTensor has unknown keys"),
    (("format_version",), 2, "format_version 2; allowed: 1; update onpar"),
    (("format_version",), "1", "format_version '1'"),
    (("format_version",), True, "True"),
    (("format_version",), ..., "format_version None"),
    (("files",), ..., "Manifest is incomplete"),
    (("files", 0, "sha256"), ..., "FileEntry is incomplete"),
    (("model_files", 0, "bytes"), "12", "ModelFile.bytes is '12'; a int is needed"),
    (("model_files", 0, "bytes"), 1.5, "ModelFile.bytes is 1.5"),
    (("files", 0, "bytes"), None, "FileEntry.bytes is None"),
    (("id",), 7, "Manifest.id is 7"),
    (("labels",), "abc", "Manifest.labels is 'abc'; a JSON array is needed"),
    (("labels",), [1], "Manifest.labels is 1"),
    (("parity", 0, "value"), "0.1", "Check.value is '0.1'"),
    (("parity", 0, "passed"), 1, "Check.passed is 1"),
    (("preprocess", "size"), [112], "allowed: 2 values"),
    (("preprocess", "size"), [112, "112"], "PreprocessSpec.size is '112'"),
    (("spec",), [], "ModelSpec is a list"),
    (("model_files", 0), None, "ModelFile is a NoneType"),
]


@pytest.mark.parametrize(("where", "value", "part"), WRONG)
def test_a_wrong_entry_is_refused_by_reader_and_schema(where, value, part, document, validator, refused):
    changed = change(document, where, value)
    with refused(BundleInvalid, "bundle.json", part):
        parse(json.dumps(changed).encode())
    assert list(validator.iter_errors(changed))


CONTRADICTIONS = [
    (("model",), "other", "model is 'other'; allowed: template_keypoints"),
    (("task",), "depth_to_voxels", "task is 'depth_to_voxels'; allowed: face_keypoints"),
    (("target",), "vision", "target is 'vision'; allowed: ios, android, web"),
    (("precision",), "fp8", "precision is 'fp8'"),
    (("labels",), ["a"], "labels differs from the spec's labels"),
    (("preprocess", "mean"), [0.5, 0.5, 0.5], "preprocess differs"),
    (("model_files", 0, "runtime"), "os", "runtime is 'os'; allowed: coreml"),
    (("model_files", 0, "file"), "../model.tflite", "names '../model.tflite' but does not list it"),
    (("model_files", 0, "file"), "/etc/hostname", "names '/etc/hostname'"),
    (("model_files",), [], "lacks artifacts"),
    (("golden",), [], "lacks artifacts or golden tensors"),
    (("golden", 0, "raw"), "../input.png", "names '../input.png'"),
    (("golden", 1, "tensors", 0, "file"), "golden/none.bin", "names 'golden/none.bin'"),
    (("golden", 1, "tensors", 0), ..., "lacks artifacts or golden tensors"),
    (("parity", 0, "metric"), "beauty", "metric is 'beauty'; allowed: max_abs_of_range"),
    (("parity",), [], "no parity limit or value for model.tflite"),
    (("spec", "preprocess", "resize"), "melt", "resize is 'melt'; allowed: cover, contain, stretch"),
    (("spec", "outputs", 0, "shape"), [0, 68, 2], "positive sizes"),
]


@pytest.mark.parametrize(("where", "value", "part"), CONTRADICTIONS)
def test_entries_that_contradict_each_other_are_refused(where, value, part, document, refused):
    with refused(BundleInvalid, "bundle.json", part):
        parse(json.dumps(change(document, where, value)).encode())


def test_a_proof_without_limits_is_none(document, refused):
    for check in document["parity"]:
        check["limit"] = None
    with refused(BundleInvalid, "no parity limit or value for model.tflite"):
        parse(json.dumps(document).encode())


@pytest.mark.parametrize(
    "text",
    [b"", b"\xff\xfe", b"[]", b"null", b"{", b'"bundle"', b"[" * 100_000, b'{"format_version": NaN}'],
    ids=["empty", "binary", "list", "null", "open", "string", "deep", "NaN"],
)
def test_what_is_no_json_object_is_refused(text, refused):
    with refused(BundleInvalid, "bundle.json"):
        parse(text)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_json_does_not_have_are_refused(number, content, document, refused):
    value = json.dumps(document["parity"][0]["value"]).encode()
    assert value in content
    with refused(BundleInvalid, f"{number} is no JSON number"):
        parse(content.replace(b'"value": ' + value, b'"value": ' + number.encode(), 1))


def test_a_manifest_with_a_value_that_is_not_finite_can_not_be_written(content):
    manifest = parse(content)
    broken = dataclasses.replace(manifest.parity[0], value=float("nan"))
    with pytest.raises(ValueError, match="JSON"):
        dataclasses.replace(manifest, parity=(broken,)).to_bytes()
