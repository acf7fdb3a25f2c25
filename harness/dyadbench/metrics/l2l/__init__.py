"""The Learning2Listen metrics: L2, FD, P-FD, variation, SI, RPCC, in every reading of the literature."""
