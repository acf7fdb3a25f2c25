"""Where cells run when not in the calling process: processes of this machine, or a Slurm cluster."""
