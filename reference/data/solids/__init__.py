"""What the voxel networks are trained on beside bare heads: people with hair and shoulders, sensors, a cache."""
