"""From a model to proved bundles: reference, artifact, bundle, and which precision."""
