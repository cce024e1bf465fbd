"""The process that has PyTorch loaded, as the leading process sees it: workers are copies of it."""

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress

from pipeline.execute.worker import COPIES, Line


class Loaded:
    """Loads in the background; every copy begins where it stands, without the seconds that loading takes."""

    def __init__(self) -> None:
        self._asking, theirs = socket.socketpair()
        self._answers, self._copied = Line(self._asking), False
        with theirs:
            command = [sys.executable, "-m", "pipeline.execute.worker", str(theirs.fileno())]
            # In a session of its own: Ctrl-C is for the leading process, which asks the others to stop.
            self._process = subprocess.Popen(
                command, pass_fds=[theirs.fileno()], start_new_session=True, stdin=subprocess.DEVNULL
            )

    def copy(self, variables: dict[str, str]) -> tuple[Line, int]:
        """A worker with these variables in its environment: the way to speak to it, and its number (0: it died)."""
        ours, theirs = socket.socketpair()
        pid = 0
        with theirs, suppress(OSError, EOFError):
            socket.send_fds(self._asking, [json.dumps(variables).encode()], [theirs.fileno()])
            pid = next(self._answers.receive())
            self._copied = True
        return Line(ours), pid

    def end(self, pid: int) -> int | None:
        """Kill a copy, whatever it does; its exit code, or that of the whole process where it died itself."""
        try:
            if pid == self._process.pid or not pid:
                raise EOFError
            # Nobody else can have this number before the loaded process has been asked about it.
            os.kill(pid, signal.SIGKILL)
            self._answers.send(pid)
            return int(next(self._answers.receive()))
        except (OSError, EOFError):
            return self.close()

    @property
    def reusable(self) -> bool:
        """Whether there can be one more copy."""
        return self._process.poll() is None and (COPIES or not self._copied)

    def close(self) -> int:
        """End the process; its exit code."""
        self._asking.close()
        self._process.kill()
        return self._process.wait()
