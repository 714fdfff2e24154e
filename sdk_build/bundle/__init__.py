"""The folder that an app embeds: its files, manifest, signature, card page and records."""
