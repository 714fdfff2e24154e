"""Python's side of the comparison that the apps' tests make."""

import json

from reference.golden import load_golden
from reference.registry import get_spec
from sdk_build.app_results import main


def test_results_of_every_golden_input(web_dist):
    assert main([str(web_dist)]) == 0
    results = json.loads((web_dist / "results.json").read_text())
    (found,) = results.values()
    assert len(found) == len(load_golden(get_spec("template_keypoints")))
    assert all(len(result["points_px"]) == 68 for result in found)
    (web_dist / "results.json").unlink()


def test_no_bundle(tmp_path, fails):
    fails(main, [tmp_path], 2, "holds no bundle", "--target web")
