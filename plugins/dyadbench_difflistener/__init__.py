"""DiffListener (ICASSP 2025): a listener's motion in tokens of 8 frames, all denoised together by discrete diffusion."""
