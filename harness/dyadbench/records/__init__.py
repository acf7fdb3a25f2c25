"""The record of a cell: the format that outlives the program."""
