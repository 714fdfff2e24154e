"""A folder for anybody's network: found, run once, described, and written with golden files of its own."""
