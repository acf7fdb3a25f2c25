"""What is to be run: matrix files, settings, cells and the keys they are stored under."""
