"""Spoiled gradient echo as Pulseq: what a scanner allows, timing, building, and reading back."""
