"""VQTalker for listeners: group-residual tokens and their coarse-to-fine prediction."""
