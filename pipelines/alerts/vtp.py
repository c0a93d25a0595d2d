"""VOEvent Transport Protocol (IVOA note of 20 March 2017): an author hands an event to a broker."""

import socket
import struct
from urllib.parse import urlsplit

from db.errors import HvenError

PATIENCE = 10.0  # seconds for connection and answer
PORT = 8098
LARGEST = 1 << 20  # bytes of an answer that are read
SEEN = "previously seen"
"""What Comet says of an event whose very bytes it has had."""


CUT_OFF = "without an answer"
"""What the text of `CutOff` holds, by which it is known in the outbox."""


class NotDelivered(HvenError):
    """The receiver was not reached, did not answer, or went away: it may be tried again for ever."""

    exit_status = 28


class Refused(NotDelivered):
    """The broker understood the event and does not want it."""


class CutOff(NotDelivered):
    """The broker took the event and went away without an answer: it may know it, and not have passed it on."""


def send(host: str, port: int, packet: bytes, *, patience: float | None = None) -> None:
    """Hand one VOEvent to a broker and wait for its acknowledgement.

    Raises
    ------
    NotDelivered, CutOff, Refused
    """
    place, patience = f"{host}:{port}", patience or PATIENCE
    try:
        with socket.create_connection((host, port), timeout=patience) as broker:
            broker.settimeout(patience)
            broker.sendall(struct.pack(">I", len(packet)) + packet)
            answer = _receive(broker)
    except TimeoutError:
        problem = f"alerts: broker {place} kept silent for {patience:g} s, {CUT_OFF}"
        raise CutOff(problem, "look at the broker") from None
    except (ConnectionResetError, BrokenPipeError, EOFError):
        raise CutOff(f"alerts: broker {place} hung up {CUT_OFF}", "look at the broker") from None
    except OSError as error:
        raise NotDelivered(f"alerts: broker {place} can't be reached ({error.strerror})", "start the broker") from None
    role, said = _understand(answer, place)
    if role != "ack":
        raise Refused(f"alerts: broker {place} refused the event ({said or role})", "read the broker's log")


def answers(target: str) -> bool:
    """Return whether somebody listens at ``vtp://HOST:PORT``."""
    parts = urlsplit(target)
    try:
        socket.create_connection((parts.hostname or "", parts.port or PORT), timeout=PATIENCE).close()
    except OSError:
        return False
    return True


def _receive(broker: socket.socket) -> bytes:
    (length,) = struct.unpack(">I", _exactly(broker, 4))
    return _exactly(broker, min(length, LARGEST))


def _exactly(broker: socket.socket, count: int) -> bytes:
    parts = bytearray()
    while len(parts) < count:
        part = broker.recv(count - len(parts))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)


def _understand(answer: bytes, place: str) -> tuple[str, str]:
    from lxml import etree

    try:
        root = etree.fromstring(answer, etree.XMLParser(resolve_entities=False, no_network=True))
    except etree.XMLSyntaxError:
        problem = f"alerts: {place} answered with what is no XML"
        raise Refused(problem, "make sure that it is a VOEvent broker") from None
    return root.get("role", ""), root.findtext("Meta/Result") or ""
