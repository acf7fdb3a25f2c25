"""Folders that hold what each stage made, and who is at work in them."""
