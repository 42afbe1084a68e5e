"""Detector noise, where it acts in the world: on the readings, before they are decoded."""
