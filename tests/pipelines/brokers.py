"""Brokers: Comet, in a process of its own, and one that misbehaves as it is told."""

import os
import signal
import socket
import struct
import subprocess
import threading
import time
from contextlib import closing, suppress
from pathlib import Path

ACK = b'<Transport role="ack"><Origin>ivo://test</Origin></Transport>'
NAK = b'<Transport role="nak"><Meta><Result>%s</Result></Meta></Transport>'
SEEN = NAK % b"Event rejected: Previously seen by this broker"
SILENCE, HANG_UP = b"silence", b""


class Broker:
    """Listens on loopback, keeps what it gets, and answers what `answer(packet)` returns."""

    def __init__(self, answer=lambda packet: ACK, port=0):
        self.answer, self.got = answer, []
        self.listener = socket.create_server(("127.0.0.1", port))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    @property
    def target(self):
        return f"vtp://127.0.0.1:{self.port}"

    def _serve(self):
        with suppress(OSError):
            while True:
                with closing(self.listener.accept()[0]) as author:
                    self._converse(author)

    def _converse(self, author):
        author.settimeout(5)
        head = author.recv(4, socket.MSG_WAITALL)
        if len(head) < 4:
            return
        packet = author.recv(struct.unpack(">I", head)[0], socket.MSG_WAITALL)
        self.got.append(packet)
        answer = self.answer(packet)
        if answer == SILENCE:
            time.sleep(1)
        elif answer:
            author.sendall(struct.pack(">I", len(answer)) + answer)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Comet:
    """A Comet that takes events at `receive` and passes them on at `broadcast`, or keeps those of `remote`."""

    def __init__(self, python: Path, folder: Path, *, receive=None, broadcast=None, remote=None):
        (folder / "seen").mkdir(parents=True)
        self.kept = folder / "kept"
        self.log, self.port = folder / "log", receive or 0
        options = [f"--local-ivo=ivo://hven.test/{folder.name}", f"--eventdb={folder / 'seen'}"]
        if receive:
            options += ["--receive", f"--receive-port={receive}", "--broadcast", f"--broadcast-port={broadcast}",
                        "--broadcast-test-interval=0"]
        else:
            options += [f"--remote=127.0.0.1:{remote}", "--save-event", f"--save-event-directory={self.kept}"]
        self.command = [str(python.with_name("twistd")), "-n", "--pidfile=", "comet", *options]
        self.folder = folder
        self.start()

    def start(self):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, cwd=self.folder, stdout=log, stderr=log)
        if self.port:
            self._wait_until_it_listens()

    def _wait_until_it_listens(self):
        for _ in range(300):
            with suppress(OSError), closing(socket.create_connection(("127.0.0.1", self.port), timeout=1)):
                return
            time.sleep(0.1)
        raise AssertionError(self.log.read_text())

    def stop(self, how=signal.SIGTERM):
        if self.process.poll() is None:
            os.kill(self.process.pid, how)
        self.process.wait(30)

    def events(self) -> dict[str, float]:
        """File of each event that was kept → when it was written."""
        return {path.name: path.stat().st_mtime for path in self.kept.iterdir()} if self.kept.exists() else {}
