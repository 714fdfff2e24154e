"""Apple's own tests of coremltools, predicted by the emulation.

The wheel of coremltools holds its tests. They convert one operation or layer after the other, let ``MLModel.predict``
run it, and compare with numbers of their own; off a Mac they skip the last two steps. :mod:`.plugin` puts the emulation
in the place of the Objective-C class through which coremltools predicts, and changes nothing else: the tests, their
tolerances and their comparisons stay Apple's. ``python -m tests.sdk_build.mil.apple --help`` runs them,
``test_sample.py`` a few.
"""
