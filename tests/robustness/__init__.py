"""Damaged files, random loops, kills, full disks: short in the tests, long by ``python tests/robustness``."""
