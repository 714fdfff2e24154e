"""How Core ML models are stored: packages, protobuf, weight files, and what they describe."""
