"""Runs a project's handler in a process of the runtime's Python, on the built layer: events in, responses out.

As a script it is that process: `python -S worker.py APP LAYER`. Each line of its input is an event in JSON, which it
answers with a line: the response or the error, and what was logged meanwhile.
"""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


class HandlerError(Exception):
    """The handler raised an exception; `kind` is its class."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind


class Worker:
    """The process, seen from a test; leaving the `with` block ends it."""

    def __init__(self, python: Path, project: Path, **environment: str) -> None:
        self.command = [python, "-S", "-B", __file__, project / "app", project / "package" / "python"]
        self.environment = os.environ | environment
        self.logs: list[dict[str, str]] = []

    def __enter__(self) -> "Worker":
        """Start the process."""
        self.process = subprocess.Popen(
            self.command, env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
        )
        return self

    def __exit__(self, *_: object) -> None:
        """End the process."""
        self.process.stdin.close()
        self.process.wait(20)
        self.process.stdout.close()

    def __call__(self, event: Any) -> dict[str, Any]:
        """Return the handler's response; `logs` has what was logged meanwhile.

        Raises:
            HandlerError: the handler raised.
        """
        self.process.stdin.write(json.dumps(event) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        self.logs = answer["logs"]
        if "error" in answer:
            raise HandlerError(*answer["error"])
        return answer["response"]


def main() -> None:
    """Answer the events on standard input."""
    sys.path[:0] = sys.argv[1:3]
    logs: list[dict[str, str]] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            trace = logging.Formatter().formatException(record.exc_info) if record.exc_info else ""
            logs.append({"level": record.levelname, "message": record.getMessage(), "trace": trace})

    # Lambda has put its handler on the root logger before the function's module is imported.
    logging.getLogger().addHandler(Collect())
    import main as service
    import probes
    from invoke import Context

    probes.add(service.app)
    for line in sys.stdin:
        logs.clear()
        try:
            response = service.handler(json.loads(line), Context())
            answer = {"response": response}
            # As the runtime of Python 3.12 and later does it.
            json.dumps(response, ensure_ascii=False).encode()
        except Exception as error:
            answer = {"error": [type(error).__name__, str(error)]}
        print(json.dumps(answer | {"logs": logs}), flush=True)


if __name__ == "__main__":
    here = Path(__file__).resolve().parent
    sys.path[:] = [str(here), str(Path(sys.argv[1]).parent / "scripts"), *sys.path[1:]]
    main()
