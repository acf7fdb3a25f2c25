"""The group-wise blendshape loss of Dense-FSQ and the learning-rate schedule."""

from __future__ import annotations
