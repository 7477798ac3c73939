"""What `cli.py doctor` looks at: whether everything that a call leans on is there, before a caller finds out."""
