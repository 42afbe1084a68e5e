"""The words of a plan's table under stress, for the console and for a page."""

from __future__ import annotations

from acqplan.learning.lesions import CONTRAST, SIDE
from acqplan.workflow.stress import Row, Stressed

COLUMNS = ("PSNR / dB", "SSIM", "loss / dB (95 %)", "tv PSNR / dB", "tv loss / dB")


def row_cells(row: Row) -> list[str]:
    """As `COLUMNS`; the first row loses nothing."""
    if row.name == "none":
        return [f"{row.psnr_db:.2f}", f"{row.ssim:.4f}", "", f"{row.solver_db:.2f}", ""]
    interval = "" if row.interval_db is None else f" ({row.interval_db[0]:+.2f} to {row.interval_db[1]:+.2f})"
    return [
        f"{row.psnr_db:.2f}",
        f"{row.ssim:.4f}",
        f"{row.loss_db:+.2f}{interval}",
        f"{row.solver_db:.2f}",
        f"{row.solver_loss_db:+.2f}",
    ]


def lesion_facts(stressed: Stressed) -> list[tuple[str, str]]:
    """(name, value): what becomes of small lesions."""
    found, size = stressed.lesions, f"{SIDE} × {SIDE} pixels, {CONTRAST:.0%} brighter"
    if found.kept is None or found.solver_kept is None:
        return [("Small lesions", f"{size}: no image has an even place for one")]
    interval = ""
    if found.kept_interval is not None:
        interval = f" ({found.kept_interval[0]:.0%} to {found.kept_interval[1]:.0%})"
    return [
        (
            "Small lesions",
            f"{size}, {found.n} in {found.n_images} images: {found.kept:.0%}{interval} of their contrast is kept; "
            f"tv keeps {found.solver_kept:.0%}",
        ),
        (
            "False lesions",
            f"in {found.false_per_100:.3g} of 100 images; tv in {found.solver_false_per_100:.3g}",
        ),
    ]
