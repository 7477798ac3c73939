"""Whole calls without a phone, a key or an account: `make demo`, and `cli.py call --simulate`."""
