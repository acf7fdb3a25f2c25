"""BeLFusion as the REACT baseline: a recurrent auto-encoder of windows, and latent diffusion between windows."""
