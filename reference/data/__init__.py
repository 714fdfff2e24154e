"""Data sets and augmentation: one loader per format."""

import os

# Processes that prepare training batches: two keep one core's training fed; none more than there are cores.
WORKERS = min(2, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
