"""Every registered model is what its spec says, and what the documents and papers say."""

import pytest
import torch
from torch import nn

from reference.errors import BadInput
from reference.networks import classifier, voxel
from reference.networks.classifier import Classifier
from reference.networks.layers import Normalize, round_channels
from reference.registry import MODELS, build_network, get_spec

# Billions of operations; its shapes are checked without numbers.
RUNNABLE = [name for name in MODELS if name != "voxel320"]


def parameters(network):
    return sum(p.numel() for p in network.parameters())


def outputs_of(spec, network, device="cpu"):
    with torch.no_grad():
        out = network(torch.zeros(spec.input.shape, device=device))
    return out if isinstance(out, tuple) else (out,)


def test_the_models_of_the_documents_are_registered():
    assert set(MODELS) >= {"classifier", "template_keypoints", *(f"voxel{n}" for n in (64, 80, 128, 160, 320))}
    assert {name: spec.name for name, spec in MODELS.items()} == {name: name for name in MODELS}
    assert [name for name, spec in MODELS.items() if not spec.in_all] == ["voxel320"]


def test_unknown_model_lists_the_known_ones(refused):
    with refused(
        BadInput, "model is 'clasifier'", "allowed: classifier, saliency, face_detector, face_detector_refined"
    ):
        get_spec("clasifier")


@pytest.mark.parametrize("name", MODELS)
def test_network_is_built_for_evaluation_and_has_its_intermediate(name):
    spec = get_spec(name)
    with torch.device("meta"):
        network = build_network(spec)
    assert not any(m.training for m in network.modules())
    assert spec.intermediate in dict(network.named_modules())


@pytest.mark.parametrize("name", RUNNABLE)
def test_outputs_are_those_of_the_spec(name):
    spec = get_spec(name)
    out = outputs_of(spec, build_network(spec))
    assert [tuple(o.shape) for o in out] == [t.shape for t in spec.outputs]
    assert all(o.dtype == torch.float32 and o.isfinite().all() for o in out)


@pytest.mark.parametrize("name", MODELS)
def test_labels_fit_the_logits(name):
    spec = get_spec(name)
    assert len(spec.labels) == (spec.outputs[0].shape[-1] if spec.task == "image_classification" else 0)


@pytest.mark.parametrize(("variant", "count", "millions"), [("small", 2_542_856, 2.5), ("large", 5_483_032, 5.5)])
def test_mobilenetv3_has_the_papers_size(variant, count, millions):
    """The paper's table 3 rounds to 2.5 and 5.4 million for 1000 classes."""
    assert parameters(Classifier(1000, variant=variant)) == count
    assert round(count / 1e6, 1) == millions


def test_mobilenetv3_reduces_32_times():
    for variant, channels in (("small", 576), ("large", 960)):
        network = Classifier(7, variant=variant).eval()
        assert network.features.out_channels == channels
        assert network.features(torch.zeros(1, 3, 64, 96)).shape == (1, channels, 2, 3)


def test_width_scales_every_channel_count():
    channels = {
        width: [m.out_channels for m in Classifier(7, width=width).features.modules() if isinstance(m, nn.Conv2d)]
        for width in (0.5, 1.0, 2.0)
    }
    assert channels[1.0][0] == 16 and channels[0.5][0] == 8 and channels[2.0][0] == 32
    assert channels[2.0][-1] == 2 * channels[1.0][-1]
    assert parameters(Classifier(7, width=0.5)) < parameters(Classifier(7)) < parameters(Classifier(7, width=2.0))
    assert Classifier(7, width=2.0).target_head[0].out_features == 2048  # the paper widens the last layer only upwards
    assert Classifier(7, width=0.5).target_head[0].out_features == 1024


@pytest.mark.parametrize(
    ("wanted", "rounded"), [(16, 16), (12, 16), (11, 16), (4, 8), (1, 8), (18, 24), (88 * 0.75, 64), (576 * 0.75, 432)]
)
def test_rounded_channels(wanted, rounded):
    """The nearest multiple of 8, halves up, but never more than a tenth below."""
    assert round_channels(wanted) == rounded


def test_the_shipped_classifier_has_no_image_type_head():
    shipped, training = classifier.build(), classifier.build(num_types=len(classifier.IMAGE_TYPES))
    assert shipped.type_head is None and not any("type_head" in name for name in shipped.state_dict())
    extra = set(training.state_dict()) - set(shipped.state_dict())
    assert extra and all(name.startswith("type_head.") for name in extra)


def test_normalize_knows_its_values():
    normalize = Normalize((0.5, 0.25), (0.5, 2.0))
    out = normalize(torch.tensor([1.0, 0.25]).view(1, 2, 1, 1))
    assert out.flatten().tolist() == [1.0, 0.0]
    assert not normalize.state_dict()  # the values belong to the spec, not to the weights


def test_keypoints_start_inside_the_crop():
    """An untrained network's templates are zero: the similarity's start puts every point in the middle."""
    spec = get_spec("template_keypoints")
    _, template = outputs_of(spec, build_network(spec))
    assert (template - 0.5).abs().max() < 0.1


def test_keypoints_are_a_gated_mix_of_both_predictions():
    network = build_network(get_spec("template_keypoints"))
    with torch.no_grad():
        network.templates.normal_()
        out = network.stages(torch.rand(2, 3, 112, 112))
        final, first = network(torch.rand(2, 3, 112, 112))
    mixed = out["template_keypoints"] + out["gate"] * (out["direct_keypoints"] - out["template_keypoints"])
    assert torch.allclose(out["keypoints"], mixed, atol=1e-6)
    assert out["probabilities"].sum(1).tolist() == pytest.approx([1, 1], abs=1e-5)
    assert final.shape == first.shape == (2, 68, 2)


def test_voxel320_is_the_documents_network():
    with torch.device("meta"):
        network = voxel.build320()
        encoder = [m for m in network.encoder if not isinstance(m, nn.ReLU)]
        decoder = [m for m in network.decoder if not isinstance(m, nn.ReLU)]
        features = network.encoder(torch.zeros(1, 1, 320, 320))
        volume = network.to_volume(features)
        out = network(torch.zeros(1, 1, 320, 320))
    assert all(isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3) for m in encoder)
    assert [m.out_channels for m in encoder] == [16, 32, 64, 128, 256, 512, 1280]
    assert [m.stride for m in encoder] == [(2, 2)] * 6 + [(1, 1)]
    assert all(isinstance(m, nn.ConvTranspose3d) and m.stride == (2, 2, 2) for m in decoder)
    assert [m.out_channels for m in decoder] == [256, 128, 64, 32, 16, 1]
    assert len(network.encoder) == 2 * len(encoder) and len(network.decoder) == 2 * len(decoder)  # a ReLU after each
    assert features.shape == (1, 1280, 5, 5) and volume.shape == (1, 256, 5, 5, 5)
    assert out.shape == (1, 320, 320, 320)


@pytest.mark.parametrize("size", voxel.SIZES)
def test_voxel_family_doubles_back_to_its_input(size):
    with torch.device("meta"):
        network = voxel.VoxelNetwork(size)
        assert network(torch.zeros(1, 1, size, size)).shape == get_spec(f"voxel{size}").outputs[0].shape
        assert network.decoder[-2].out_channels == 1


@pytest.mark.parametrize("size", [4, 5, 63, 96, 640])
def test_voxel_sizes_outside_the_family_are_refused(size):
    with pytest.raises(ValueError, match=rf"size is {size}; allowed: 4 or 5 times 2, 4, ... 64"):
        voxel.VoxelNetwork(size)


def test_volume_channels_hold_the_slices_of_a_channel_together():
    """(256 * d) channels are 256 groups of d slices: the layout that the lowering relies on."""
    flat = torch.arange(256 * 4 * 2 * 2.0).view(1, 256 * 4, 2, 2)[:, :, :1, :1].expand(-1, -1, 4, 4)
    volume = voxel.ToVolume(4)(flat)
    assert volume[0, 3, 2, 0, 0] == flat[0, 3 * 4 + 2, 0, 0]
