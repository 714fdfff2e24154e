import pytest

from benchmarks.face_speed import UNIT, summarize


def test_ratios_are_of_each_round():
    samples = {UNIT: (1.0, 2.0, 4.0), "face_detector": (1.0, 2.0, 2.0), "template_keypoints": (0.5, 1.0, 2.0)}
    samples |= {"face_detector_refined": (0.1, 0.1, 0.4)}
    document = summarize(samples)
    assert document["median_ms"] == {
        UNIT: 2.0, "face_detector": 2.0, "template_keypoints": 1.0, "face_detector_refined": 0.1,
    }  # fmt: skip
    assert document["ratio"][UNIT] == 1
    assert document["ratio"]["template_keypoints"] == pytest.approx(0.5)
    assert document["ratio"]["both"] == pytest.approx(1.5)
    assert document["ratio"]["cascade"] == pytest.approx(1.55)
