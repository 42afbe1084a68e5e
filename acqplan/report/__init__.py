"""Figures and pages: what a plan is and what it gained, for people who weren't there."""
