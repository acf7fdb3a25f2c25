"""One cell, from fit to record: what it learns, samples, scores and writes down."""
