"""The local web page of ``acqplan explore --serve``: checks, routes that give pixels, and the server."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from acqplan.cli import console
from acqplan.cli.explore_guard import SameOrigin, is_loopback
from acqplan.core.errors import AcqplanError, RecipeError
from acqplan.core.optional import optional_import
from acqplan.workflow.explorer import Explorer

_WHITE = 65535
_HEADROOM = 1.1  # of the brightest pixel that either the middle position or the zero-filled image has


def serve(
    explorer: Explorer,
    *,
    host: str,
    port: int,
    open_browser: bool,
    count: int,
    folder: Path | None,
    suffix: str | None,
) -> None:
    """Serve the page until Ctrl-C; it writes only into ``folder``, or without one below the current folder.

    Raises
    ------
    RecipeError
        The optional package isn't installed, or the address can't be listened at.
    """
    optional_import("nicegui", "page", "The page needs the package", error=RecipeError)
    from nicegui import app, ui

    from acqplan.cli.explore_view import View

    check_address(host, port)
    if not is_loopback(host):
        console.warn([f"The page listens at {host}: anyone who can reach this machine sees the images."])
    app.add_middleware(SameOrigin, host=host)
    pixels = Pixels(explorer)
    _add_routes(app, pixels)
    view = View(explorer, pixels, count=count, folder=folder, suffix=suffix)
    console.note(f"Open http://{host}:{port} (Ctrl-C ends it).")
    ui.run(
        view.build,
        host=host,
        port=port,
        title=f"acqplan explore {explorer.plan.plan_id[:8]}",
        reload=False,
        show=open_browser,
        show_welcome_message=False,
        dark=True,
    )


def check_address(host: str, port: int) -> None:
    """Raise `RecipeError` now if nothing can listen there."""
    try:
        kind = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(kind[0], socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            probe.listen(1)
    except OSError as error:
        raise RecipeError(
            f"The page can't be served at {host}:{port}: {error.strerror or error}.",
            f"Choose another port, for example --port {port + 1}.",
        ) from error


class Pixels:
    """Magnitudes as 16-bit pixels, all on one scale, so that what is compared is compared fairly."""

    def __init__(self, explorer: Explorer) -> None:
        self.explorer = explorer
        middle = explorer.image((0.5,) * len(explorer.knobs))
        brightest = max(float(np.abs(image).max()) for image in (middle, explorer.zero_filled))
        self.limit = _HEADROOM * (brightest or 1.0)

    def of(self, image: npt.NDArray[Any]) -> npt.NDArray[np.uint16]:
        """uint16[H, W] of an image[H, W]; clipped."""
        levels = np.clip(np.abs(image) / self.limit, 0, 1) * _WHITE
        return np.asarray(np.round(levels), dtype="<u2")


def knob_of(text: str) -> tuple[float, ...]:
    """``0.3,0.5`` -> (0.3, 0.5)."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise RecipeError(f"The knob is at {text!r}, expected numbers.", "Write it like 0.3,0.5.") from error


def _add_routes(app: Any, pixels: Pixels) -> None:
    from fastapi import Response

    def answer(image: npt.NDArray[Any]) -> Response:
        data = pixels.of(image).tobytes()
        return Response(data, media_type="application/octet-stream", headers={"Cache-Control": "no-store"})

    # Plain functions: the server runs them in threads and stays responsive.
    def image(knob: str) -> Response:
        try:
            return answer(pixels.explorer.image(knob_of(knob)))
        except AcqplanError as error:
            return Response(str(error), status_code=400, media_type="text/plain")

    def judged(knob: str) -> Response:
        try:
            found = pixels.explorer.candidate(knob_of(knob))
        except AcqplanError as error:
            return Response(str(error), status_code=400, media_type="text/plain")
        text = f"χ² per degree of freedom {found.chi2:.3f}, loss {found.loss:.3e}"
        return Response(text, media_type="text/plain; charset=utf-8")

    app.get("/explore/image", response_model=None)(image)
    app.get("/explore/judged", response_model=None)(judged)
    app.get("/explore/zero-filled", response_model=None)(lambda: answer(pixels.explorer.zero_filled))
