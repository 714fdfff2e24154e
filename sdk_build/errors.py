"""The error tree.

::

    OnParError                    exit 1
    ├── BadInput                  exit 2  wrong use, unreadable or unsuitable input
    │   ├── UnfitInput            exit 2  an input that a Core ML model can't take; also a RuntimeError, as coremltools'
    │   └── UnknownInput          exit 2  an input that a Core ML model has not; also a KeyError, as coremltools'
    ├── WeightsError              exit 2  weights missing, damaged, of another network
    ├── BundleNotFound            exit 2  no bundle at that path, or not a bundle
    ├── BundleInvalid             exit 1  bundle.json breaks the schema
    │   ├── ChecksumMismatch      exit 1  a file differs from its sha256, or is missing
    │   └── SignatureInvalid      exit 1  the SIGNATURE does not fit bundle.json
    ├── RuntimeTooOld             exit 1  the artifact needs a newer runtime than the one here
    ├── BackendUnavailable        exit 2  a toolchain or runtime is not installed
    ├── LoweringError             exit 1  a backend could not convert the network
    │   ├── PredictionFailed      exit 1  a Core ML model could not compute; also a RuntimeError, as coremltools'
    │   └── UnsupportedOperation  exit 1  the Core ML emulation has no such operation
    ├── ArtifactCrashed           exit 1  a native runtime died while it ran an artifact
    ├── BenchmarkFailed       exit 1  a phone's benchmark crashed or refused a bundle
    ├── DelegationError           exit 1  more operations than allowed stay outside the delegate
    ├── AccuracyError             exit 1  an artifact loses more accuracy than the card's budget allows
    └── ParityError               exit 1  an artifact differs from the reference by more than its limit
        └── InsensitiveCheck      exit 1  a parity check that could not fail

Every message is one line: what was received, what is allowed, what to do.
"""

from reference.errors import BadInput, OnParError, WeightsError

__all__ = [
    "AccuracyError",
    "ArtifactCrashed",
    "BackendUnavailable",
    "BadInput",
    "BenchmarkFailed",
    "BundleInvalid",
    "BundleNotFound",
    "ChecksumMismatch",
    "DelegationError",
    "InsensitiveCheck",
    "LoweringError",
    "OnParError",
    "ParityError",
    "PredictionFailed",
    "RuntimeTooOld",
    "SignatureInvalid",
    "UnfitInput",
    "UnknownInput",
    "UnsupportedOperation",
    "WeightsError",
]


class BundleNotFound(OnParError):
    """No bundle at the given path, or the folder is not a bundle."""

    exit_code = 2


class BundleInvalid(OnParError):
    """The bundle breaks its own schema."""


class ChecksumMismatch(BundleInvalid):
    """A bundle file is missing or differs from the sha256 in bundle.json."""


class SignatureInvalid(BundleInvalid):
    """SIGNATURE does not fit bundle.json, or not the key that the caller trusts."""


class RuntimeTooOld(OnParError):
    """The artifact needs a newer runtime than the installed one."""


class BackendUnavailable(OnParError):
    """A toolchain or runtime is not installed."""

    exit_code = 2


class LoweringError(OnParError):
    """A backend could not convert the network."""


class PredictionFailed(LoweringError, RuntimeError):
    """A Core ML model could not compute its outputs, in the words and under the type of coremltools."""


class UnfitInput(BadInput, RuntimeError):
    """An input of a Core ML model is missing, or has another shape or type, under the type of coremltools."""


class UnknownInput(BadInput, KeyError):
    """A Core ML model has no input of that name, under the type of coremltools."""

    __str__ = Exception.__str__  # a KeyError's own puts quotes around the sentence


class UnsupportedOperation(LoweringError):
    """The Core ML emulation met an operation that it does not implement."""


class ArtifactCrashed(OnParError):
    """A native runtime died while it loaded or ran an artifact."""


class BenchmarkFailed(OnParError):
    """A phone's benchmark crashed, or refused a bundle."""


class DelegationError(OnParError):
    """More operations than allowed stay outside the delegate."""


class AccuracyError(OnParError):
    """An artifact loses more of the task's accuracy than the card's budget allows."""


class ParityError(OnParError):
    """An artifact's output is further from the reference than the limit."""


class InsensitiveCheck(ParityError):
    """Two different inputs gave nearly the same output: the check could not have failed."""
