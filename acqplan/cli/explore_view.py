"""What stands on the explore page, and what its buttons do."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from nicegui import events, run, ui
from PIL import Image

from acqplan.cli.explore_guard import checked_folder
from acqplan.core.errors import AcqplanError
from acqplan.workflow.choice_files import Kept, write_choice
from acqplan.workflow.explorer import Candidate, Choice, Explorer, choose

if TYPE_CHECKING:
    from acqplan.cli.explore_page import Pixels

_SCRIPT = Path(__file__).with_name("panes.js")
_THUMBNAIL = 112  # pixels
_PANES = {
    "zero": "zero-filled",
    "now": "",
    "held": "",
    "difference": "difference to the held one (blue less, red more)",
}
_STYLE = """
body { background: #14171b; }
.panes { display: grid; gap: 12px; width: 100%; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr)); }
.pane { overflow: hidden; background: #000; aspect-ratio: var(--shape); border-radius: 4px; touch-action: none; }
.pane canvas { width: 100%; height: 100%; display: block; image-rendering: pixelated; transform-origin: center; }
.words { color: #aab4c0; font-size: .85rem; min-height: 1.4em; }
.nicegui-content { max-width: 90rem; margin: 0 auto; gap: .8rem; }
"""
_KEYS = (
    "Keys: arrows turn the knob, k keep, h hold, c choose, e export, + − 0 zoom (or the wheel; drag to move); "
    "Tab reaches everything."
)
_CAUTION = (
    "The images differ in how the network was asked to weigh its losses. All may be wrong; their spread isn't an "
    "uncertainty."
)


@dataclass
class _Row:
    """What a person keeps."""

    knob: tuple[float, ...]
    note: str


class View:
    """The page of one acquisition; one person at a time."""

    def __init__(
        self, explorer: Explorer, pixels: Pixels, *, count: int, folder: Path | None, suffix: str | None
    ) -> None:
        self.explorer, self.pixels, self.count, self.suffix = explorer, pixels, count, suffix
        self.start = Path.cwd()
        self.root = self.start if folder is None else folder.absolute()
        self.folder = str(_unused(Path("choice")) if folder is None else folder)
        self.kept: list[_Row] = []

    def build(self) -> None:
        """Lay the page out; NiceGUI calls it for each visit."""
        rows, columns = self.explorer.plan.sensing.image_shape
        ui.add_css(_STYLE + f":root {{ --shape: {columns} / {rows}; }}")
        ui.add_head_html(f"<script>{_SCRIPT.read_text(encoding='utf-8')}</script>")
        plan = self.explorer.plan
        with ui.row().classes("w-full items-baseline justify-between"):
            ui.label("One acquisition, many reconstructions").classes("text-xl font-medium")
            ui.label(f"plan {plan.plan_id[:12]}, {self.explorer.acquisition.source}").classes("words")
        self._panes()
        self._controls()
        with ui.row().classes("w-full items-start gap-8 no-wrap max-md:flex-wrap"):
            with ui.column().classes("grow"):
                ui.label("A few that agree with the data and differ").classes("font-medium")
                self.gallery = ui.row().classes("gap-3")
                with self.gallery:
                    ui.label(f"Choose looks over the whole knob for {self.count} of them.").classes("words")
            with ui.column().classes("w-96"):
                ui.label("Kept").classes("font-medium")
                self.kept_list = ui.column().classes("w-full gap-1")
                self.path = ui.input("Folder to export to", value=self.folder).classes("w-full")
        ui.label(_CAUTION).classes("words")
        ui.label(_KEYS).classes("words")
        self._show_kept()
        ui.on("nudge", self._nudge)
        start = json.dumps([rows, columns]), json.dumps([0.5] * len(self.explorer.knobs))
        ui.timer(0.1, lambda: ui.run_javascript(f"panes.start({start[0]}, {start[1]})"), once=True)

    def _panes(self) -> None:
        body = "".join(
            f'<div><div class="pane"><canvas id="pane-{name}" aria-label="{name}"></canvas></div>'
            f'<div class="words" id="label-{name}">{label}</div></div>'
            for name, label in _PANES.items()
        )
        ui.html(f'<div class="panes">{body}</div>', sanitize=False).classes("w-full")

    def _controls(self) -> None:
        self.sliders = []
        with ui.column().classes("w-full gap-0"):
            for i, name in enumerate(self.explorer.knobs):
                ui.label(name).classes("words")
                slider = ui.slider(min=0, max=1, step=0.005, value=0.5).props(f'label aria-label="{name}"')
                slider.classes(f"knob-{i}")
                slider.on("update:model-value", js_handler=f"(value) => panes.turn({i}, value)")
                self.sliders.append(slider)
            ui.html('<div class="words" id="judged"></div>', sanitize=False)
            ui.label("Window: black and white, as a share of the brightest pixel").classes("words")
            window = ui.range(min=0, max=1, step=0.005, value={"min": 0, "max": 1})
            window.on("update:model-value", js_handler="(value) => panes.range(value.min, value.max)")
        with ui.row().classes("items-center"):
            hold = ui.button("Hold this position").props("outline").classes("press-h")
            hold.on("click", js_handler="() => panes.hold()")
            self.note = ui.input("Note").props("dense").classes("w-72 note")
            ui.button("Keep", on_click=self._keep).classes("press-k")
            ui.button("Choose", on_click=self._choose).props("outline").classes("press-c")
            ui.button("Export what is kept", on_click=self._export).classes("press-e")

    @property
    def _knob(self) -> tuple[float, ...]:
        return tuple(min(1.0, max(0.0, float(slider.value))) for slider in self.sliders)

    def _go_to(self, knob: tuple[float, ...]) -> None:
        for slider, value in zip(self.sliders, knob, strict=True):
            slider.value = value
        ui.run_javascript(f"panes.set({json.dumps(knob)})")

    def _nudge(self, event: events.GenericEventArguments) -> None:
        knob = self._knob
        self._go_to((min(1.0, max(0.0, round(knob[0] + float(event.args), 3))), *knob[1:]))

    def _keep(self) -> None:
        self.kept.append(_Row(self._knob, str(self.note.value or "").strip()))
        self.note.value = ""
        self._show_kept()

    def _show_kept(self) -> None:
        self.kept_list.clear()
        with self.kept_list:
            if not self.kept:
                ui.label("Nothing yet.").classes("words")
            for row in self.kept:
                with ui.row().classes("w-full items-center no-wrap gap-2"):
                    ui.button(_text(row.knob), on_click=lambda r=row: self._go_to(r.knob)).props("flat dense no-caps")
                    ui.label(row.note).classes("grow")
                    ui.button(icon="close", on_click=lambda r=row: self._drop(r)).props(
                        'flat dense round size=sm aria-label="remove"'
                    )

    def _drop(self, row: _Row) -> None:
        self.kept.remove(row)
        self._show_kept()

    async def _choose(self) -> None:
        self.gallery.clear()
        with self.gallery:
            ui.spinner(size="lg")
        try:
            choice: Choice | None = await run.io_bound(lambda: choose(self.explorer.candidates(), self.count))
        except AcqplanError as error:
            self.gallery.clear()
            ui.notify(str(error), type="warning", timeout=10_000)
            return
        self.gallery.clear()
        with self.gallery:
            for candidate in [] if choice is None else choice.chosen:  # None: the server is being stopped
                self._card(candidate)

    def _card(self, candidate: Candidate) -> None:
        with ui.column().classes("gap-0 items-center"):
            image = ui.image(self._thumbnail(candidate)).style(f"width: {_THUMBNAIL}px; cursor: pointer")
            image.on("click", lambda: self._go_to(candidate.knob))
            ui.button(_text(candidate.knob), on_click=lambda: self._go_to(candidate.knob)).props("flat dense no-caps")
            ui.label(f"χ² {candidate.chi2:.3f}").classes("words")

    def _thumbnail(self, candidate: Candidate) -> Image.Image:
        levels = (self.pixels.of(candidate.image) >> 8).astype(np.uint8)
        return Image.fromarray(levels)

    async def _export(self) -> None:
        if not self.kept:
            ui.notify("Nothing is kept yet: turn the knob and press Keep.", type="warning")
            return
        typed, rows = str(self.path.value), list(self.kept)

        def write() -> Path:
            folder = checked_folder(typed, self.root, self.start)
            kept = [Kept(self.explorer.candidate(row.knob), row.note) for row in rows]
            write_choice(folder, self.explorer, kept, suffix=self.suffix)
            return folder

        try:
            folder: Path | None = await run.io_bound(write)
        except AcqplanError as error:
            ui.notify(str(error), type="negative", timeout=10_000)
            return
        if folder is None:  # the server is being stopped
            return
        ui.notify(f"Written: {folder}", type="positive", timeout=10_000)
        self.path.value = str(_unused(self.root / "choice" if folder == self.root.resolve() else folder))


def _text(knob: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.3f}" for value in knob)


def _unused(folder: Path) -> Path:
    """``folder``, or ``folder-2``, ``folder-3``, … where it exists."""
    number, candidate = 1, folder
    while candidate.exists():
        number += 1
        candidate = folder.with_name(f"{folder.name}-{number}")
    return candidate
