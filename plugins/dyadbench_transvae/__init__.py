"""Trans-VAE, the official baseline of REACT 2023 and 2024, from motion in place of pixels."""
