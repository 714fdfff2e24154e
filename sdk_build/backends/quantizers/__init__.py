"""What a precision is, and how each toolchain's program gets it."""
