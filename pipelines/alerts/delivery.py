"""Where a filtered stream is sent to: a broker, or a folder."""

import os
from pathlib import Path
from urllib.parse import urlsplit

from pipelines.alerts import vtp
from pipelines.alerts.streams import StreamError

ALLOWED = "vtp://HOST:PORT or file:///FOLDER"


def check_target(target: str) -> None:
    """Refuse a target that is none."""
    parts = urlsplit(target)
    if not ((parts.scheme == "vtp" and parts.hostname) or (parts.scheme == "file" and parts.path.startswith("/"))):
        raise StreamError(f"alerts: target is {target}, allowed is {ALLOWED}", "correct the target")


def deliver(target: str, packet: bytes, ivorn: str, *, was_cut_off: bool = False) -> None:
    """Send one packet.

    Parameters
    ----------
    was_cut_off : bool
        The broker took it once and went away. If it knows it now, it was ended between taking and passing it on:
        it gets it again with a line feed more, which makes it another packet to a broker that compares bytes.

    Raises
    ------
    NotDelivered
    """
    parts = urlsplit(target)
    if parts.scheme == "file":
        _write(Path(parts.path), packet, ivorn)
        return
    host, port = parts.hostname or "", parts.port or vtp.PORT
    try:
        vtp.send(host, port, packet)
    except vtp.Refused as error:
        if vtp.SEEN not in str(error).lower():
            raise
        if was_cut_off:
            vtp.send(host, port, packet + b"\n")


def _write(folder: Path, packet: bytes, ivorn: str) -> None:
    """Write a file, whole or not at all; the same packet again gives the same file."""
    name = ivorn.removeprefix("ivo://").replace("/", "_").replace("#", "_")
    part = folder / f".{name}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as stream:
            stream.write(packet)
            stream.flush()
            os.fsync(stream.fileno())
        part.rename(folder / f"{name}.xml")
    except OSError as error:
        part.unlink(missing_ok=True)
        problem = f"alerts: cannot write under {folder} ({error.strerror})"
        raise vtp.NotDelivered(problem, "make room, or make the folder writable for this user") from None
