"""What pyproject.toml can't say: the folder models/ is the package ``reference.models`` of a wheel.

Weights, cards and golden files stand beside the code, where people look for them. A wheel may not put a folder of that
name beside every other package, so there it lies inside ``reference``; ``reference.card.MODELS_DIR`` knows both places.
"""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["reference*", "sdk_build*", "benchmarks*"]), "reference.models"],
    package_dir={"reference.models": "models"},
)
