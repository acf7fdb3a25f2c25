"""The offline report: static pages made from records, claims and excerpts, and nothing else."""
