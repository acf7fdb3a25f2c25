"""Every byte in and out: atomic writes, npy arrays, torch files, prediction files."""
