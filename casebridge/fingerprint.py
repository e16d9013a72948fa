"""Stable fingerprints of values, for keys and versions."""

import hashlib


def short_hash(*parts: object) -> str:
    """32 hexadecimal digits of SHA-256 over the texts of the parts. `None` counts as empty."""
    return hashlib.sha256("\x1f".join("" if part is None else str(part) for part in parts).encode()).hexdigest()[:32]
