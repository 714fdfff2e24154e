"""Row I7: a class counts after several frames in a row; and what is no video."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference.errors import BadInput
from reference.pipelines.video import Agreement, agree, frame_rate, is_video, read_frames, smooth


def run(labels, frames, unconfirmed="suppress"):
    state, shown = Agreement(), []
    for label in labels:
        state, verdict = agree(state, label, frames, unconfirmed)
        shown.append((verdict.status, verdict.label))
    return shown


def test_a_class_counts_once_enough_frames_agree():
    assert run("aaab", 3) == [("suppressed", None), ("suppressed", None), ("confirmed", "a"), ("suppressed", "a")]
    assert run("aab", 2, "mark") == [("marked", "a"), ("confirmed", "a"), ("marked", "b")]
    assert run("ab", 1) == [("confirmed", "a"), ("confirmed", "b")]


def test_a_class_must_be_confirmed_anew_after_an_interruption():
    assert [status for status, _ in run("aabaa", 2)] == [
        "suppressed", "confirmed", "suppressed", "suppressed", "confirmed",
    ]  # fmt: skip


@given(st.lists(st.sampled_from("abc"), max_size=60), st.integers(1, 7), st.sampled_from(["suppress", "mark"]))
def test_confirmed_means_that_the_last_frames_agree(labels, frames, unconfirmed):
    for number, (status, label) in enumerate(run(labels, frames, unconfirmed)):
        last = labels[max(0, number + 1 - frames) : number + 1]
        agreed = len(last) == frames and len(set(last)) == 1
        assert (status == "confirmed") == agreed
        if agreed or unconfirmed == "mark":
            assert label == labels[number]


def test_none_of_the_classes_is_never_confirmed():
    assert run(["a", "a", None, None, "a"], 2) == [
        ("suppressed", None), ("confirmed", "a"), ("suppressed", "a"), ("suppressed", "a"), ("suppressed", "a"),
    ]  # fmt: skip
    assert run([None, None], 1, "mark") == [("marked", None), ("marked", None)]


def test_probabilities_are_smoothed():
    scores = smooth(None, {"a": 1.0, "b": 0.0})
    assert scores == {"a": 1.0, "b": 0.0}
    scores = smooth(scores, {"a": 0.0, "b": 1.0}, kept=0.75)
    assert scores == {"a": 0.75, "b": 0.25}
    scores = smooth(scores, {"a": 0.0, "b": 1.0}, kept=0.5)
    assert scores == {"a": 0.375, "b": 0.625}


def test_wrong_settings(refused):
    with refused(BadInput, "frames that must agree: 0", "allowed: 1 or more"):
        agree(Agreement(), "a", 0)
    with refused(BadInput, "unconfirmed is 'hide'", "allowed: suppress, mark"):
        agree(Agreement(), "a", 2, "hide")


def write(path, frames):
    height, width = frames[0].shape[:2]
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 12, (width, height))
    for frame in frames:
        video.write(np.ascontiguousarray(frame[..., ::-1]))
    video.release()


def flat(color, size=(32, 48)):
    return np.full((*size, 3), color, np.uint8)


def test_frames_of_a_file_and_of_a_folder(tmp_path):
    colors = [(200, 40, 40), (40, 200, 40), (40, 40, 200)]
    write(tmp_path / "v.avi", [flat(c) for c in colors])
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, color in enumerate(colors):
        cv2.imwrite(str(folder / f"{number}.png"), flat(color)[..., ::-1])
    (folder / "notes.txt").write_text("no frame")
    for path in (tmp_path / "v.avi", folder):
        assert is_video(path)
        frames = list(read_frames(path))
        assert [f.shape for f in frames] == [(32, 48, 3)] * 3
        for frame, color in zip(frames, colors, strict=True):
            assert np.abs(frame.astype(int) - color).max() <= 12  # the file is lossy
    assert frame_rate(tmp_path / "v.avi") == 12
    assert frame_rate(folder) == 10
    assert not is_video(folder / "0.png")


def test_no_frames(tmp_path, refused):
    (tmp_path / "empty").mkdir()
    (tmp_path / "v.mp4").write_bytes(b"no video")
    for name in ("empty", "v.mp4"):
        with refused(BadInput, f"{tmp_path / name} has no frames", "give a video file, or a folder of pictures"):
            list(read_frames(tmp_path / name))
    with refused(BadInput, "no video", "none.mp4"):
        list(read_frames(tmp_path / "none.mp4"))


def test_a_size_that_changes(tmp_path, refused):
    for number, size in enumerate([(32, 48), (32, 48), (48, 32)]):
        cv2.imwrite(str(tmp_path / f"{number}.png"), flat(9, size))
    with refused(BadInput, f"frame 3 of {tmp_path} is 32x48, the first is 48x32", "one size"):
        list(read_frames(tmp_path))


def test_a_damaged_frame_is_named(tmp_path, refused):
    cv2.imwrite(str(tmp_path / "0.png"), flat(9))
    (tmp_path / "1.png").write_bytes(b"no picture")
    with refused(BadInput, "1.png"):
        list(read_frames(tmp_path))
    assert pytest.approx(10.0) == frame_rate(tmp_path)
