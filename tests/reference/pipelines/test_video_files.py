"""Video files of phones: every turn and mirror comes out upright, and frames keep their times."""

import contextlib
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from reference.errors import BadInput
from reference.inputs.display_matrix import display_orientation
from reference.pipelines.video import EVEN_MS, even_frames, frame_times, read_frames, read_timed
from tests.reference.mp4 import SIZE, write_mkv, write_mp4
from tests.reference.quarters import NAMES, quarters, seen

# Display matrices of the eight ways to lay down a picture, and how the quarters RGBY then lie.
SHOWN = {
    (1, 0, 0, 1): "RGBY", (-1, 0, 0, 1): "GRYB", (-1, 0, 0, -1): "YBGR", (1, 0, 0, -1): "BYRG",
    (0, 1, 1, 0): "RBGY", (0, 1, -1, 0): "BRYG", (0, -1, -1, 0): "YGBR", (0, -1, 1, 0): "GYRB",
}  # fmt: skip


@pytest.mark.parametrize("matrix", SHOWN)
@pytest.mark.parametrize("suffix", ["mp4", "mov", "m4v"])
def test_turned_and_mirrored_videos_come_out_upright(suffix, matrix, tmp_path):
    """A front camera's mirrored picture came out turned by 180 degrees."""
    frames = list(read_frames(write_mp4(tmp_path / f"a.{suffix}", [quarters(*SIZE)] * 3, matrix=matrix)))
    assert [frame.shape for frame in frames] == [(64, 48, 3) if matrix[0] == 0 else (48, 64, 3)] * 3
    assert {seen(frame) for frame in frames} == {SHOWN[matrix]}


def test_the_movie_s_own_matrix_comes_on_top(tmp_path):
    path = write_mp4(tmp_path / "a.mp4", [quarters(*SIZE)], matrix=(0, 1, -1, 0), movie_matrix=(-1, 0, 0, 1))
    (frame,) = read_frames(path)
    assert seen(frame) == "RBGY"  # a quarter clockwise (BRYG), then mirrored


@pytest.mark.parametrize("matrix", [(0, 0, 0, 0), (2, 0, 0, 1), (1, 0.001, -0.001, 1)])
def test_empty_stretched_and_rounded_matrices_turn_nothing(matrix, tmp_path):
    (frame,) = read_frames(write_mp4(tmp_path / "a.mp4", [quarters(*SIZE)], matrix=matrix))
    assert seen(frame) == "RGBY"


def test_pictures_to_be_shown_aslant_are_refused(tmp_path, refused):
    path = write_mp4(tmp_path / "a.mp4", [quarters(*SIZE)], matrix=(0.71, 0.71, -0.71, 0.71))
    with refused(BadInput, "is to be shown aslant (display matrix 0.71, 0.71, -0.71, 0.71)", "encode it upright"):
        list(read_frames(path))


def boxes(*content):
    return b"".join(struct.pack(">I4s", 8 + len(data), kind) + data for kind, data in content)


FTYP = boxes((b"ftyp", b"isom"))
TKHD = bytes(40) + struct.pack(">9i", -65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30) + bytes(8)
TKHD_64 = b"\1" + bytes(51) + TKHD[40:]


def track(header=TKHD, kind=b"vide"):
    return b"trak", boxes((b"tkhd", header), (b"mdia", boxes((b"hdlr", bytes(8) + kind))))


def movie(*tracks):
    return boxes((b"moov", boxes(*tracks)))


PLACES = {
    "in front of the pictures": (movie(track()) + boxes((b"mdat", b"")), 2),
    "behind pictures of a long size": (struct.pack(">I4sQ", 1, b"mdat", 20) + bytes(4) + movie(track()), 2),
    "to the file's end": (struct.pack(">I4s", 0, b"moov") + boxes(track()), 2),
    "long times": (movie(track(TKHD_64)), 2),
    "sound first": (movie(track(bytes(84), b"soun"), track()), 2),
    "sound alone": (movie(track(bytes(84), b"soun")), None),
    "cut header": (movie(track(TKHD[:50])), None),
    "empty header": (movie(track(b"")), None),
    "damaged sizes": (struct.pack(">I4s", 3, b"free"), None),
    "nothing": (b"", None),
}


@pytest.mark.parametrize("place", PLACES)
def test_where_the_matrix_may_lie(place, tmp_path):
    content, orientation = PLACES[place]
    (tmp_path / "a.mp4").write_bytes(FTYP + content)
    assert display_orientation(tmp_path / "a.mp4") == orientation


@pytest.mark.parametrize("data", [b"", b"RIFF\0\0\0\0AVI ", b"text that is no video"])
def test_other_containers_have_no_matrix(data, tmp_path):
    (tmp_path / "a.avi").write_bytes(data)
    assert display_orientation(tmp_path / "a.avi") is None


@given(data=st.binary(max_size=200))
def test_any_bytes_have_an_orientation_or_none(data, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "any.mp4"
    for content in (FTYP + movie(track(data), (b"mvhd", data)) + data, EBML + data, EBML + matroska(data)):
        path.write_bytes(content)
        with contextlib.suppress(BadInput):
            assert display_orientation(path) in (None, *range(1, 9))


@pytest.mark.parametrize(
    ("pose", "wanted"),
    [({}, "RGBY"), ({"yaw": 180}, "GRYB"), ({"yaw": -180}, "GRYB"), ({"roll": 90}, "GYRB"), ({"roll": -90}, "BRYG"),
     ({"roll": 180}, "YBGR")],
)  # fmt: skip
def test_turned_and_mirrored_matroska_comes_out_upright(pose, wanted, tmp_path):
    frames = list(read_frames(write_mkv(tmp_path / "a.mkv", [quarters(*SIZE)] * 2, **pose)))
    assert {seen(frame) for frame in frames} == {wanted}


EBML = b"\x1aE\xdf\xa3\x80"


def element(kind, data):
    return bytes.fromhex(kind) + bytes([0x40 | len(data) >> 8, len(data) & 255]) + data


def matroska(*fields, kind=b"\1"):
    view = element("7670", b"".join(fields))
    return element("1654ae6b", element("ae", element("83", kind) + element("e0", view)))


MIRRORED = element("7673", struct.pack(">d", 180))
POSES = {
    "both": (matroska(MIRRORED, element("7675", struct.pack(">f", 90))), 5),
    "behind an element": (element("ec", bytes(300)) + matroska(MIRRORED), 2),
    "flat": (matroska(element("7671", b"\0"), MIRRORED), 2),
    "a sphere": (matroska(element("7671", b"\1"), MIRRORED), None),
    "sound": (matroska(MIRRORED, kind=b"\2"), None),
    "behind pictures of unknown length": (b"\x1f\x43\xb6\x75\xff" + matroska(MIRRORED), None),
    "cut short": (matroska(MIRRORED)[:20], None),
    "nothing": (b"", None),
}


@pytest.mark.parametrize(
    "segment", [b"\xff", b"\x01" + b"\xff" * 7, b"\x10\x00\x40\x00"], ids=["unknown", "long", "short"]
)
@pytest.mark.parametrize("name", POSES)
def test_where_matroskas_pose_may_lie(name, segment, tmp_path):
    content, orientation = POSES[name]
    (tmp_path / "a.mkv").write_bytes(EBML + b"\x18\x53\x80\x67" + segment + content)
    assert display_orientation(tmp_path / "a.mkv") == orientation


# --- times --------------------------------------------------------------------------------------------------------


def shades(count):
    """Frames that can be told apart after a lossy encoder."""
    return [np.full((*SIZE, 3), 20 + 200 * i // count, np.uint8) for i in range(count)]


UNEVEN_MS = [100, 100, 400, 50, 50, 300, 100]
STARTS_MS = [0, 100, 200, 600, 650, 700, 1000]


def test_frames_keep_their_times(tmp_path):
    """The stated rate is an average: 6.4 frames a second here, which none of the frames has."""
    path = write_mp4(tmp_path / "a.mp4", shades(7), UNEVEN_MS)
    timed = list(read_timed(path))
    assert [time for time, _ in timed] == pytest.approx(STARTS_MS, abs=0.5)
    assert frame_times(path) == pytest.approx(STARTS_MS, abs=0.5)
    assert [round(float(frame.mean())) for _, frame in timed] == pytest.approx(
        [20 + 200 * i // 7 for i in range(7)], abs=4
    )


def test_frames_of_a_folder_are_a_tenth_of_a_second_apart(tmp_path):
    for number, frame in enumerate(shades(3)):
        Image.fromarray(frame).save(tmp_path / f"{number}.png")
    assert [time for time, _ in read_timed(tmp_path)] == [0, 100, 200]
    assert frame_times(tmp_path) == [0, 100, 200]


@pytest.mark.parametrize("name", [*NAMES, "a:b", "http:x", "f%03d", "#1 [x]?"])
def test_names_of_videos_with_blanks_and_any_letters(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_mp4(tmp_path / "plain.mp4", [quarters(*SIZE)] * 2).rename(tmp_path / f"{name}.mp4")
    assert [seen(frame) for frame in read_frames(Path(f"{name}.mp4"))] == ["RGBY"] * 2


def test_cut_and_empty_videos(tmp_path, refused):
    whole = write_mp4(tmp_path / "whole.mp4", shades(5)).read_bytes()
    for data in (b"", whole[: len(whole) // 2], whole[:20], b"text"):
        (tmp_path / "a.mp4").write_bytes(data)
        with refused(BadInput, "a.mp4 has no frames; give a video file"):
            list(read_frames(tmp_path / "a.mp4"))


def shown_at(rate, repeats):
    """When each frame appears, in milliseconds."""
    return 1000 * np.cumsum([0, *repeats[:-1]]) / rate


def test_even_frames_are_not_repeated():
    assert even_frames([0, 40, 80, 120]) == (25, [1, 1, 1, 1])
    assert even_frames([0, 33, 67, 100, 133]) == (30.08, [1] * 5)  # rounded times
    assert even_frames([0, 4, 8, 12]) == (250, [1] * 4)  # slow motion is faster than any grid
    assert even_frames([0]) == (10, [1])
    assert even_frames([]) == (10, [])


def test_uneven_frames_are_repeated_to_keep_their_times():
    rate, repeats = even_frames(STARTS_MS)
    assert rate == 20
    assert repeats == [2, 2, 8, 1, 1, 6, 2]
    assert shown_at(rate, repeats) == pytest.approx(STARTS_MS)


@given(st.lists(st.integers(17, 900), min_size=2, max_size=40))
def test_frames_appear_at_their_times_whatever_these_are(steps):
    times = np.cumsum([0, *steps])
    rate, repeats = even_frames(times.tolist())
    off = np.abs(shown_at(rate, repeats) - times).max()
    assert off <= max(500 / rate, EVEN_MS) + 1e-6
    assert rate <= 60 or set(repeats) == {1}
    assert len(repeats) == len(times) and repeats[-1] >= 1


def test_frames_that_come_too_fast_for_the_grid_are_left_out():
    rate, repeats = even_frames([0, 1, 2, 1000, 2000])
    assert rate == 60
    assert repeats[:2] == [0, 0] and shown_at(rate, repeats)[3] == pytest.approx(1000)
