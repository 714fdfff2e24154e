"""From a PyTorch reference to verified bundles for phones and browsers.

Commands: ``python -m sdk_build.export``, ``.verify``, ``.predict``, ``.report``. Importing this package is cheap;
toolchains are imported inside the backend that needs them.
"""
