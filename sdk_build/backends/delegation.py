"""Which operations an artifact hands to its accelerated delegate, in one format for every runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

PLACED_ON_DEVICE = "placed by Core ML on the device"
PLACED_BY_CORE_AI = "placed by Core AI on the device"
UNKNOWN_HERE = (PLACED_ON_DEVICE, PLACED_BY_CORE_AI)


@dataclass(frozen=True)
class Delegation:
    """Counts over one artifact.

    Attributes:
        delegate: name of the delegate, e.g. ``XNNPACK``, or one of ``UNKNOWN_HERE``.
        total: operations that compute something.
        delegated: of them, those inside the delegate.
        partitions: pieces the delegate got; 1 means that nothing interrupts it, 0 that it got nothing.
        fallbacks: names of the operations outside, each once.
        reasons: why each of them is outside, in the toolchain's words where it gives any; empty for bundles made before
            reasons were kept.
    """

    delegate: str
    total: int
    delegated: int
    partitions: int
    fallbacks: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()

    @property
    def explained(self) -> tuple[str, ...]:
        """Fallbacks with their reasons."""
        if len(self.reasons) != len(self.fallbacks):
            return self.fallbacks
        return tuple(f"{name} ({why})" for name, why in zip(self.fallbacks, self.reasons, strict=True))

    @property
    def outside(self) -> int:
        """Operations that compute something outside the delegate; 0 where only the device knows."""
        return 0 if self.delegate in UNKNOWN_HERE else self.total - self.delegated

    @property
    def complete(self) -> bool:
        """True if one partition holds every operation."""
        return self.partitions == 1 and not self.fallbacks


def count(
    delegate: str, delegated: Mapping[str, int], others: Mapping[str, int], partitions: int, why: Callable[[str], str]
) -> Delegation:
    """Build the record from occurrences by operation name.

    Args:
        why: the reason that an operation is outside.
    """
    inside, outside, names = sum(delegated.values()), sum(others.values()), tuple(sorted(others))
    return Delegation(delegate, inside + outside, inside, partitions, names, tuple(why(name) for name in names))
