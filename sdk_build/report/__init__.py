"""Size, parity, accuracy and delegation of bundles, as a table and as a page."""
