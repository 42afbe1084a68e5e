"""Who may talk to the explore page, and where it may write."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from acqplan.core.errors import OutputError

_UNACCEPTABLE = 1008  # a websocket's policy violation

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach ``host``."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class SameOrigin:
    """Lets a request or a websocket through only if it was sent to this page, and by this page.

    A page of someone else in the same browser can reach an address that only this machine can. Its requests name it as
    their ``Origin``; and if it made its own name point here (DNS rebinding), that name is their ``Host``.

    Parameters
    ----------
    app
        What answers.
    host
        The address that is listened at. Beyond this machine, any numeric address and this machine's names are its own.
    """

    def __init__(self, app: Application, host: str) -> None:
        self._app, self._host = app, host.lower()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        reason = refusal(scope["headers"], self._host)
        if reason is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": _UNACCEPTABLE, "reason": reason})
        else:
            headers = [(b"content-type", b"text/plain; charset=utf-8")]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            await send({"type": "http.response.body", "body": reason.encode()})


def refusal(headers: list[tuple[bytes, bytes]], listened_at: str) -> str | None:
    """Why a request with these headers isn't answered, or None."""
    hosts = [value.decode("latin-1").lower() for name, value in headers if name.lower() == b"host"]
    if len(hosts) != 1 or not _is_ours(_name(hosts[0]), listened_at):
        return "This page doesn't answer under that name."
    origins = [value.decode("latin-1").lower() for name, value in headers if name.lower() == b"origin"]
    if origins and origins not in ([f"http://{hosts[0]}"], [f"https://{hosts[0]}"]):
        return "This page doesn't answer other pages."
    return None


def _name(host: str) -> str:
    """``localhost:8765`` -> ``localhost``; "" of what is no name."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_ours(name: str, listened_at: str) -> bool:
    if name == listened_at or is_loopback(name):
        return True
    if is_loopback(listened_at):
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name in {socket.gethostname().lower(), socket.getfqdn().lower()}
    return True


def checked_folder(typed: str, root: Path, start: Path) -> Path:
    """The folder that was typed, which has to be ``root`` or lie below it; a relative name begins at ``start``.

    Raises
    ------
    OutputError
        It lies elsewhere, also by way of a link.
    """
    try:
        folder = (start / Path(typed).expanduser()).resolve()
        if folder.is_relative_to(root.resolve()):
            return folder
    except (OSError, ValueError, RuntimeError):
        pass
    raise OutputError(
        f"The page may write only to {root} and below it, not to {typed}.",
        "Name a folder there, or start acqplan explore with another -o DIR.",
    )
