"""How what was acquired differs from the plan: every difference found before anything is reconstructed."""

from acqplan.verification.base import Finding, verify

__all__ = ["Finding", "verify"]
