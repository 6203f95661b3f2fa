"""The real Lambda runtime without AWS: the Runtime Interface Emulator, with AWS's runtime client for Python.

The emulator's binary ships in the wheel of the SAM CLI. It ends if it is called twice at once, so calls take turns.
"""

import functools
import hashlib
import json
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request
from importlib import resources
from pathlib import Path
from typing import Any

from filelock import FileLock

from tests.machine import CACHE, ROOT, UV, free_port

# In a mount namespace of its own, the code and the layer lie where they do on Lambda, and cannot be written to.
AS_ON_LAMBDA = """
set -e
mount -t tmpfs tmpfs /var && mkdir /var/task
mount --bind "$TASK" /var/task && mount -o remount,bind,ro /var/task
mount --bind "$LAYER" /opt && mount -o remount,bind,ro /opt
cd /var/task
unset TASK LAYER
exec "$@"
"""
AS_AWSLAMBDARIC = "import os; from awslambdaric.__main__ import main; main(['', os.environ['_HANDLER']])"
ROOTLY = platform.system() == "Linux" and os.geteuid() == 0 and shutil.which("unshare") is not None


@functools.cache
def runtime_client(python: Path) -> Path:
    """Install what Lambda's image of this Python has beside it (awslambdaric and boto3), and return the folder."""
    version = subprocess.run([python, "-V"], capture_output=True, text=True, check=True).stdout.split()[1]
    lock = ROOT / "requirements" / "runtime.txt"
    # Its name has the lock's hash: another one that is in use, of another checkout, stays.
    target = CACHE / "runtime" / f"{version}-{hashlib.sha256(lock.read_bytes()).hexdigest()[:16]}"
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{target}.lock"):
        if not (target / "done").exists():
            shutil.rmtree(target, ignore_errors=True)
            command = [UV, "pip", "install", "--quiet", "--compile-bytecode", "--python", python, "--target", target]
            subprocess.run([*command, "--require-hashes", "--only-binary", ":all:", "-r", lock], check=True)
            (target / "done").touch()
    return target


class Emulator:
    """A function under the emulator; leaving the `with` block ends it.

    Args:
        python: the interpreter of the function's runtime; it runs with -S, so that it sees no packages but the layer's.
        task: the function's code, as Lambda unpacks it to /var/task.
        layer: the layer's content, as Lambda unpacks it to /opt.
        handler: the handler string.
        environment: variables of the function; as on Lambda, AWS_LAMBDA_EXEC_WRAPPER is a program of a layer that
            starts Python, and may change _HANDLER.

    """

    def __init__(
        self, python: Path, task: Path, layer: Path, handler: str = "main.handler", **environment: str
    ) -> None:
        self.turn = threading.Lock()
        self.port = free_port()
        self.log = Path(tempfile.mkstemp(suffix=".log")[1])
        code, dependencies = ("/var/task", "/opt") if ROOTLY else (task, layer)
        self.environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "HOME": tempfile.gettempdir(),
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "none",
            "AWS_SECRET_ACCESS_KEY": "none",
            "AWS_LAMBDA_FUNCTION_NAME": "function",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024",
            "AWS_LAMBDA_FUNCTION_TIMEOUT": "28",
            "LAMBDA_TASK_ROOT": str(code),
            "_HANDLER": handler,
            "PYTHONPATH": os.pathsep.join([str(code), f"{dependencies}/python", str(runtime_client(python))]),
            "TASK": str(task),
            "LAYER": str(layer),
            **environment,
        }
        start = [str(python), "-S", "-m", "awslambdaric", handler]
        if wrapper := environment.get("AWS_LAMBDA_EXEC_WRAPPER"):  # it may need the module `site`, which -S leaves out
            start = [wrapper.replace("/opt", str(dependencies), 1), str(python), "-s", "-c", AS_AWSLAMBDARIC]
        binary = "aws-lambda-rie-arm64" if platform.machine() in ("arm64", "aarch64") else "aws-lambda-rie-x86_64"
        self.command = [
            *(["unshare", "--mount", "sh", "-c", AS_ON_LAMBDA, "sh"] if ROOTLY else []),
            *(str(resources.files("samcli") / "local" / "rapid" / binary), "--log-level", "info"),
            # Both addresses are said: by default it listens on every network.
            *("--runtime-interface-emulator-address", f"127.0.0.1:{self.port}"),
            *("--runtime-api-address", f"127.0.0.1:{free_port()}"),
            *start,
        ]

    def __enter__(self) -> "Emulator":
        """Start the emulator and wait until it listens; the function itself starts with the first event."""
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                self.command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        end = time.monotonic() + 30
        while time.monotonic() < end and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 0.2).close()
                return self
            except OSError:
                time.sleep(0.01)
        self.__exit__()
        raise RuntimeError(f"the emulator does not listen: {self.said()}")

    def __exit__(self, *_: object) -> None:
        """End the emulator, and with it the function."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def invoke(self, event: Any) -> Any:
        """Hand an event to the function and return its answer.

        The emulator answers a raised exception with status 200 and an errorMessage, and a failed init with 502.
        """
        url = f"http://127.0.0.1:{self.port}/2015-03-31/functions/function/invocations"
        request = urllib.request.Request(url, json.dumps(event).encode())  # noqa: S310 - a constant scheme
        with self.turn, urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return json.loads(answer.read())

    def said(self) -> str:
        """Return what the emulator and the function have logged."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def init_ms(self) -> float:
        """Return how long the function's init took; the emulator's REPORT line does not know."""
        return float(re.search(r"INIT REPORT\(durationMs: ([\d.]+)\)", self.said())[1])
