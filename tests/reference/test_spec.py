"""Specs: what they refuse, and that JSON gives back the same spec."""

import dataclasses
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference import spec
from reference.errors import BadInput
from reference.registry import MODELS
from reference.spec import ModelSpec, PostprocessSpec, PreprocessSpec, TensorSpec, from_json
from reference.tasks import get_task

IMAGE = TensorSpec("image", (1, 3, 4, 6), "NCHW", "intensity", (0.0, 1.0))
CONTEXT = TensorSpec("context", (1, 7), "any", "value")
LOGITS = TensorSpec("logits", (1, 2), "NC", "logit")
MODEL = ModelSpec(
    name="tiny",
    task="image_classification",
    document="I",
    network="tiny:build",
    inputs=(IMAGE,),
    outputs=(LOGITS,),
    preprocess=PreprocessSpec((4, 6)),
    postprocess=PostprocessSpec("Classification"),
    intermediate="features",
    labels=("a", "b"),
    description="what it does",
)

finite = st.floats(allow_nan=False, allow_infinity=False)
ranges = st.tuples(finite, finite).filter(lambda pair: pair[0] != pair[1]).map(lambda pair: tuple(sorted(pair)))


@st.composite
def tensor_specs(draw):
    layout = draw(st.sampled_from(spec.LAYOUTS))
    rank = draw(st.integers(0, 6)) if layout == spec.ANY else len(layout)
    return TensorSpec(
        name=draw(st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,12}", fullmatch=True)),
        shape=tuple(draw(st.lists(st.integers(1, 4096), min_size=rank, max_size=rank))),
        layout=layout,
        unit=draw(st.text(max_size=10)),
        value_range=draw(st.none() | ranges),
        dtype=draw(st.sampled_from(spec.DTYPES)),
    )


@st.composite
def preprocess_specs(draw):
    color = draw(st.sampled_from(spec.COLORS))
    channels = 3 if color == "RGB" else 1
    return PreprocessSpec(
        size=draw(st.tuples(st.integers(1, 2000), st.integers(1, 2000))),
        color=color,
        resize=draw(st.sampled_from(spec.RESIZES)),
        interpolation=draw(st.sampled_from(spec.INTERPOLATIONS)),
        mean=tuple(draw(st.lists(finite, min_size=channels, max_size=channels))),
        std=tuple(draw(st.lists(st.floats(1e-6, 1e6), min_size=channels, max_size=channels))),
        box_grow=draw(st.floats(0, 1)),
    )


def through_json(value):
    """What a reader of the written text sees: lists instead of tuples."""
    return json.loads(json.dumps(value.to_json() if isinstance(value, ModelSpec) else dataclasses.asdict(value)))


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_registered_specs_survive_json(model):
    back = ModelSpec.from_json(json.loads(json.dumps(model.to_json(), allow_nan=False)))
    assert back == model
    assert back.description == model.description  # not part of ==
    assert hash(back) == hash(model)  # tuples all the way down, no list left


@settings(max_examples=60)
@given(tensor_specs())
def test_tensor_specs_survive_json(tensor):
    assert from_json(TensorSpec, through_json(tensor)) == tensor


@settings(max_examples=60)
@given(preprocess_specs())
def test_preprocess_specs_survive_json(preprocess):
    assert from_json(PreprocessSpec, through_json(preprocess)) == preprocess


def test_size_is_the_number_of_elements():
    assert IMAGE.size == 1 * 3 * 4 * 6


def test_specs_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        MODEL.name = "other"


TENSOR_RULES = {
    "name": ({"name": "my image"}, ("'my image'", "identifier", "use letters, digits and _")),
    "empty name": ({"name": ""}, ("''", "identifier")),
    "layout": ({"layout": "NHWC"}, ("layout of tensor image is 'NHWC'", "allowed: NCHW, NC, NPC, NDHW")),
    "dtype": (
        {"dtype": "int8"},
        ("dtype of tensor image is 'int8'", "allowed: float32, float16, int32, int64, uint8, bool"),
    ),
    "rank": ({"shape": (1, 3, 4)}, ("shape (1, 3, 4)", "layout NCHW needs 4 positive sizes")),
    "zero size": ({"shape": (1, 3, 0, 4)}, ("shape (1, 3, 0, 4)", "positive")),
    "range backwards": ({"value_range": (1.0, 0.0)}, ("(1.0, 0.0)", "the first must be smaller")),
    "range empty": ({"value_range": (1.0, 1.0)}, ("the first must be smaller",)),
    "range of NaN": ({"value_range": (float("nan"), 1.0)}, ("the first must be smaller",)),
    "range of three": ({"value_range": (0.0, 1.0, 2.0)}, ("value_range of tensor image", "give two numbers")),
}
PREPROCESS_RULES = {
    "color": ({"color": "BGR"}, ("color is 'BGR'", "allowed: RGB, DEPTH")),
    "resize": ({"resize": "fit"}, ("resize is 'fit'", "allowed: cover, contain, stretch")),
    "crop": ({"crop": "random"}, ("crop is 'random'", "allowed: center")),
    "interpolation": ({"interpolation": "cubic"}, ("'cubic'", "allowed: bilinear_antialias, nearest")),
    "layout": ({"layout": "NHWC"}, ("layout is 'NHWC'", "allowed: NCHW")),
    "orientation": ({"orientation": "raw"}, ("orientation is 'raw'", "allowed: exif")),
    "normalization": ({"normalization": "app"}, ("normalization is 'app'", "allowed: in_graph")),
    "zero size": ({"size": (0, 4)}, ("size is (0, 4)", "positive height and width")),
    "one size": ({"size": (4,)}, ("size is (4,)", "positive height and width")),
    "mean of one": ({"mean": (0.5,)}, ("mean and std need 3 values each",)),
    "std of four": ({"std": (1.0,) * 4}, ("mean and std need 3 values each",)),
    "three for depth": ({"color": "DEPTH"}, ("mean and std need 1 values each",)),
    "std zero": ({"std": (1.0, 0.0, 1.0)}, ("std is (1.0, 0.0, 1.0)", "positive")),
    "box shrinks": ({"box_grow": -0.1}, ("box_grow is -0.1", "allowed: 0 to 1")),
    "box too wide": ({"box_grow": 1.5}, ("box_grow is 1.5", "allowed: 0 to 1")),
}
MODEL_RULES = {
    "picture second": ({"inputs": (CONTEXT, IMAGE)}, ("input is float32 (1, 7)", "makes float32 (1, 3, 4, 6)")),
    "no input": ({"inputs": ()}, ("model tiny has no inputs", "name at least one")),
    "no output": ({"outputs": ()}, ("model tiny has no outputs", "name at least one")),
    "same name": ({"outputs": (LOGITS, LOGITS)}, ("repeats a tensor name", "['image', 'logits', 'logits']")),
    "other size": (
        {"preprocess": PreprocessSpec((6, 4))},
        ("input is float32 (1, 3, 4, 6)", "makes float32 (1, 3, 6, 4)"),
    ),
}


def rules(table):
    return pytest.mark.parametrize(("change", "parts"), table.values(), ids=table)


@rules(TENSOR_RULES)
def test_tensor_rules(change, parts, refused):
    with refused(BadInput, *parts):
        dataclasses.replace(IMAGE, **change)


@rules(PREPROCESS_RULES)
def test_preprocess_rules(change, parts, refused):
    with refused(BadInput, *parts):
        dataclasses.replace(MODEL.preprocess, **change)


@rules(MODEL_RULES)
def test_model_rules(change, parts, refused):
    with refused(BadInput, *parts):
        dataclasses.replace(MODEL, **change)


def test_task_must_exist(refused):
    with refused(BadInput, "task of model tiny is 'chess'", "allowed: image_classification"):
        get_task(dataclasses.replace(MODEL, task="chess"))


def test_result_type_must_exist(refused):
    with refused(BadInput, "result is 'Poem'", "allowed: Classification, Mask, FaceBoxes, Keypoints, VoxelGrid"):
        get_task(dataclasses.replace(MODEL, postprocess=PostprocessSpec("Poem")))


def test_result_type_must_be_the_task_s(refused):
    with refused(BadInput, "result of model tiny is 'Mask'", "image_classification gives Classification"):
        get_task(dataclasses.replace(MODEL, postprocess=PostprocessSpec("Mask", 0.5)))


def test_what_a_model_refines_is_no_part_of_a_bundle(refused):
    document = dataclasses.replace(MODEL, refines="classifier").to_json()
    assert document == MODEL.to_json()
    with refused(BadInput, "ModelSpec has unknown keys ['refines']"):
        ModelSpec.from_json({**document, "refines": "classifier"})


def test_unknown_key_is_refused_at_every_depth(refused):
    with refused(BadInput, "ModelSpec has unknown keys ['colour']", "allowed: name, task"):
        ModelSpec.from_json({**MODEL.to_json(), "colour": 1})
    document = through_json(MODEL)
    document["inputs"][0]["shape_"] = [1]
    with refused(BadInput, "TensorSpec has unknown keys ['shape_']", "allowed: name, shape"):
        ModelSpec.from_json(document)


def test_missing_key_is_named(refused):
    document = MODEL.to_json()
    del document["task"]
    with refused(BadInput, "ModelSpec is incomplete", "'task'", "allowed: name, task"):
        ModelSpec.from_json(document)


def test_only_an_object_is_a_spec(refused):
    with refused(BadInput, "ModelSpec is a list", "a JSON object is needed"):
        ModelSpec.from_json([])
    with refused(BadInput, "PreprocessSpec is a str", "a JSON object is needed"):
        ModelSpec.from_json({**MODEL.to_json(), "preprocess": "cover"})


@pytest.mark.parametrize(
    ("key", "value", "parts"),
    [
        ("name", 5, ("TensorSpec.name is 5", "a str is needed")),
        ("name", None, ("TensorSpec.name is None", "a str is needed")),
        ("shape", "1344", ("TensorSpec.shape is '1344'", "a JSON array is needed")),
        ("shape", [1, 3, "4", 6], ("TensorSpec.shape is '4'", "a int is needed")),
        ("shape", [1, 3, 4.5, 6], ("TensorSpec.shape is 4.5", "a int is needed")),
        ("shape", [True, 3, 4, 6], ("TensorSpec.shape is True", "a int is needed")),
        ("value_range", [0], ("TensorSpec.value_range is [0]", "allowed: 2 values")),
        ("value_range", ["0", "1"], ("TensorSpec.value_range is '0'", "a float is needed")),
        ("value_range", 7, ("TensorSpec.value_range is 7", "a JSON array is needed")),
    ],
)
def test_json_of_another_type_is_refused(key, value, parts, refused):
    """bundle.json comes from outside: a wrong type must not surface as AttributeError somewhere else."""
    with refused(BadInput, *parts):
        from_json(TensorSpec, {**through_json(IMAGE), key: value})


def test_a_whole_number_is_a_float():
    """JavaScript writes 1.0 as 1."""
    assert from_json(TensorSpec, {**through_json(IMAGE), "value_range": [0, 1]}) == IMAGE


def test_a_folder_of_ones_own_is_called_as_seen_from_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    inside = dataclasses.replace(MODEL, folder=str(tmp_path / "nets" / "mine"))
    outside = dataclasses.replace(MODEL, folder="/elsewhere/mine")
    assert [s.called for s in (MODEL, inside, outside)] == ["tiny", "nets/mine", "/elsewhere/mine"]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | finite | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=150)
@given(st.sampled_from([f.name for f in dataclasses.fields(ModelSpec)]), anything)
def test_any_json_in_any_field_is_a_spec_or_bad_input(field, value):
    try:
        made = ModelSpec.from_json({**through_json(MODEL), field: value})
    except BadInput:
        return
    assert ModelSpec.from_json(through_json(made)) == made
