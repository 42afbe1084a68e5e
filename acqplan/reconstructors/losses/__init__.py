"""Losses that training can minimise, alone or weighted against each other; one file each."""
