"""Raw pictures, depth maps and videos through a bundle, and their results drawn and saved."""
