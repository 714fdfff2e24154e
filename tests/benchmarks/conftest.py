"""The bundle that the tests of sdk_build make serves here too."""

from tests.sdk_build.conftest import bundle, one_thread, reseal, web_bundle, web_dist

__all__ = ["bundle", "one_thread", "reseal", "web_bundle", "web_dist"]
