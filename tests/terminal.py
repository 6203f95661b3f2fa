"""A terminal that a test types into."""

import os
import pty
import re
import select
import time
from pathlib import Path


class Terminal:
    """A command that runs in a terminal of its own: a test waits for what it shows, and types."""

    def __init__(self, command: list[str | Path], folder: Path, environment: dict[str, str]) -> None:
        self.shown = ""
        self.coloured = ""
        self.code: int | None = None
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execve(command[0], [str(word) for word in command], environment)  # noqa: S606 - there is no shell

    def type(self, text: str, *, after: str) -> None:
        """Type a text once the terminal shows what comes before it."""
        self.wait_for(after)
        os.write(self.descriptor, text.encode())

    def interrupt(self, key: str, *, after: str) -> None:
        """Press Ctrl-C or Ctrl-D once the terminal shows what comes before it, no sooner than a person could.

        Python can miss a signal that comes just before it waits for input.
        """
        self.wait_for(after)
        time.sleep(0.3)
        os.write(self.descriptor, key.encode())

    def wait_for(self, text: str) -> None:
        """Wait until the terminal shows a text that it has not shown before."""
        seen = len(self.shown)
        while text not in self.shown[seen:]:
            assert self.read(), f"{text!r} is not shown after\n{self.shown}"

    def read(self) -> bool:
        """Add what is shown next, and return False at the end."""
        ready, _, _ = select.select([self.descriptor], [], [], 60)
        try:
            data = os.read(self.descriptor, 65536) if ready else b""
        except OSError:  # how Linux says that the other end is closed
            data = b""
        text = data.decode(errors="replace").replace("\r", "")
        self.coloured += text
        # Colours and carriage returns are not what a test is about.
        self.shown += re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", text)
        return bool(data)

    def end(self) -> int:
        """Wait for the command to end, and return its exit code."""
        while self.read():
            pass
        return self.close()

    def close(self) -> int:
        """Close the terminal, which ends a command that still runs, and return its exit code."""
        if self.code is None:
            os.close(self.descriptor)
            self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.code
