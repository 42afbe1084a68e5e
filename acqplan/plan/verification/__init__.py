"""How what was acquired differs from the plan: every difference found before anything is reconstructed."""

from acqplan.plan.verification.base import UNSTATED, Finding, refuse_errors, verify

__all__ = ["UNSTATED", "Finding", "refuse_errors", "verify"]
