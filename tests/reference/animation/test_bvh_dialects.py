"""The many ways in which programs write BVH give one motion; what can't be read is named."""

import numpy as np
import pytest

from reference.animation.motion.bvh import read_bvh
from reference.errors import BadInput

BVH = """HIERARCHY
ROOT Root
{
  OFFSET 0 10 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT Left Arm
  {
    OFFSET 0 5 0
    CHANNELS 3 Yrotation Xrotation Zrotation
    End Site
    {
      OFFSET 0 4 0
    }
  }
}
MOTION
Frames: 2
Frame Time: 0.05
0 10 0 10 20 30 -40 5 6
1 12 3 90 0 0 7 90 45
"""


def read(tmp_path, data, name="motion.bvh"):
    (tmp_path / name).write_bytes(data if isinstance(data, bytes) else data.encode())
    return read_bvh(tmp_path / name)


@pytest.fixture
def wanted(tmp_path):
    return read(tmp_path, BVH, "plain.bvh")


def assert_same(found, wanted):
    assert found[0].names == wanted[0].names == ("Root", "Left Arm", "Left Arm_end")
    np.testing.assert_array_equal(found[0].parents, wanted[0].parents)
    np.testing.assert_array_equal(found[0].positions, wanted[0].positions)
    np.testing.assert_array_equal(found[1].rotations, wanted[1].rotations)
    np.testing.assert_array_equal(found[1].translations, wanted[1].translations)
    assert found[1].frame_rate == wanted[1].frame_rate


ENCODINGS = {
    "UTF-8 with a mark": BVH.encode("utf-8-sig"),
    "UTF-16 with a mark": BVH.encode("utf-16"),
    "UTF-16 big endian with a mark": "\ufeff".encode("utf-16-be") + BVH.encode("utf-16-be"),
    "UTF-16 without a mark": BVH.encode("utf-16-le"),
    "UTF-16 big endian without a mark": BVH.encode("utf-16-be"),
    "blank lines above": b"\r\n \n" + BVH.encode(),
}


@pytest.mark.parametrize("name", ENCODINGS)
def test_encodings_of_a_bvh(name, tmp_path, wanted):
    assert_same(read(tmp_path, ENCODINGS[name]), wanted)


LAYOUTS = {
    "CRLF": BVH.replace("\n", "\r\n"),
    "CR": BVH.replace("\n", "\r"),
    "tabs and blanks": BVH.replace("  ", "\t").replace("\n", " \t\n"),
    "no indent": "\n".join(line.strip() for line in BVH.splitlines()),
    "empty lines": BVH.replace("\n", "\n\n"),
    "brace on the joint's line": BVH.replace("\n{", " {").replace("\n  {", "{").replace("Site\n    {", "Site {"),
    "braces around one line": BVH.replace("{\n      OFFSET 0 4 0\n    }", "{ OFFSET 0 4 0 }"),
    "offset and channels on one line": BVH.replace("5 0\n    CHANNELS", "5 0 CHANNELS"),
    "channels over two lines": BVH.replace("Zposition Zrot", "Zposition\n    Zrot"),
    "hierarchy and root on one line": BVH.replace("HIERARCHY\nROOT", "HIERARCHY ROOT"),
    "lower case": BVH.lower().replace("root root", "root Root").replace("left arm", "Left Arm"),
    "upper case": BVH.upper().replace("ROOT ROOT", "ROOT Root").replace("LEFT ARM", "Left Arm"),
    "a named end": BVH.replace("End Site", "End Effector"),
    "no blank behind the colons": BVH.replace(": ", ":"),
    "blank before the colons": BVH.replace(": ", " :\t"),
    "frames and their time on one line": BVH.replace("Frames: 2\n", "Frames: 2 "),
    "wrapped frames": BVH.replace("10 20 30", "10\n20 30").replace("90 0 0", "90 0\n0"),
    "one number a line": BVH[: BVH.index("0 10 0 10")] + BVH[BVH.index("0 10 0 10") :].replace(" ", "\n"),
    "no line end at the end": BVH.rstrip(),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts_of_a_bvh(name, tmp_path, wanted):
    assert name == "no line end at the end" or LAYOUTS[name].strip() != BVH.strip()
    assert_same(read(tmp_path, LAYOUTS[name]), wanted)


def test_a_name_that_is_no_utf_8_is_only_a_name(tmp_path, wanted):
    skeleton, clip = read(tmp_path, BVH.replace("Left Arm", "Ärmel").encode("latin-1"))
    assert skeleton.names[1] == "\ufffdrmel"
    np.testing.assert_array_equal(clip.rotations, wanted[1].rotations)


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (("Frames: 2", "Frames: 1"), ("has 2 frames of motion, its header says Frames: 1", "write the true number")),
        (("Frames: 2", "Frames: 6"), ("has 2 lines of motion, its header says 6", "cut short")),
        (("Frames: 2", "Frames: 2.5"), ("has 'Frames: 2.5 / Frame Time: 0.05' below MOTION",)),
        (("7 90 45", "7 90"), ("line 20 has 8 numbers, its channels need 9",)),
        (("-40 5 6", "-40 5"), ("lines 19 to 20 has 17 numbers, its channels need 9",)),
        (("-40 5 6", "-40 5 6 8"), ("line 19 has 10 numbers, its channels need 9",)),
        (("7 90 45", "7 90 4,5"), ("line 20 holds", "allowed: numbers")),
        (("  JOINT Left Arm\n  {", "  JOINT Left Arm\n"), ("line 15 is '}'",)),
        (("CHANNELS 3 Y", "CHANNELS three Y"), ("line 9 is 'CHANNELS three Yrotation", "allowed: CHANNELS, their")),
        (("\n}\nMOTION", "\n}\n}\nMOTION"), ("line 16 is '}'",)),
        (("HIERARCHY", "HIERARCHIES"), ("no HIERARCHY and MOTION",)),
        (("MOTION", "MOTIONS"), ("no HIERARCHY and MOTION",)),
    ],
)
def test_faults_of_a_bvh_are_named(change, parts, tmp_path, refused):
    assert change[0] in BVH
    with refused(BadInput, "motion.bvh", *parts):
        read(tmp_path, BVH.replace(*change, 1))


@pytest.mark.parametrize("data", [b"", b"\0", b"\xff\xfe", b"BVH", b"\0\0\0\0" * 9, b"HIERARCHY\nMOTION\n"])
def test_files_that_hold_no_motion(data, tmp_path, refused):
    with refused(BadInput, "motion.bvh has no"):
        read(tmp_path, data)
