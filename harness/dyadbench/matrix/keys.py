"""Keys of the store: one hash of everything that can change a result."""

from __future__ import annotations

import hashlib
import json
from typing import Any

KEY_SCHEMA = 1  # raised when the make-up of keys itself changes


def canonical(value: Any) -> str:
    """One text for one meaning: sorted keys, no spaces, shortest floats, no NaN (ValueError)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def key_of(stage: str, **parts: Any) -> str:
    """sha256 of everything that can change what `stage` produces."""
    text = canonical({"schema": KEY_SCHEMA, "stage": stage, **parts})
    return hashlib.sha256(text.encode()).hexdigest()
