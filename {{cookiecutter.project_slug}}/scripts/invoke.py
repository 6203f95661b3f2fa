"""Call the Lambda handler in this process: `python scripts/invoke.py events/{{ "list-items" if cookiecutter.__table else "get-item" }}.json` prints the response.
{% if cookiecutter.__worker %}

An event of the queue is handed to the worker, any other one to the API.
{% endif %}

The process is as on Lambda: app/ is its working folder and on its search path, Lambda's variables are set, packages for
development cannot be imported, and files cannot be written but below the folder for temporary ones.
{% if cookiecutter.__state %}
AWS is in memory, see local.py: what that needs to be imported can be.
{% endif %}
"""

import argparse
import base64
import contextlib
import errno
import json
import os
import re
import sys
import tempfile
import time
import uuid
{% if cookiecutter.__worker %}
import warnings
{% endif %}
from collections.abc import Callable
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
APP = PROJECT / "app"
TEMPORARY = Path(tempfile.gettempdir()).resolve()
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
VARIABLES = {
    "AWS_DEFAULT_REGION": "{{ cookiecutter.aws_region }}",
    "AWS_EXECUTION_ENV": f"AWS_Lambda_python{sys.version_info.major}.{sys.version_info.minor}",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024",
    "AWS_LAMBDA_FUNCTION_NAME": "local",
    "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
    "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001",  # nothing listens there; it has the lifespan entered at init
    "AWS_REGION": "{{ cookiecutter.aws_region }}",
    "LAMBDA_TASK_ROOT": str(APP),
    "_HANDLER": "main.handler",
}
{% if cookiecutter.__worker %}
# Those of the worker. Nothing remembers here which messages are done, and no connection is tried without credentials.
VARIABLES_OF_WORKER = {
    "AWS_EC2_METADATA_DISABLED": "true",
    "IDEMPOTENCY_TABLE": "local",
    "POWERTOOLS_IDEMPOTENCY_DISABLED": "true",
    "_HANDLER": "worker.handler",
}
{% endif %}
# What Lambda's runtime brings along, beside the layer.
PROVIDED = {"boto3", "botocore", "jmespath", "python-dateutil", "s3transfer", "six", "urllib3"}


class Context:
    """The context that Lambda passes to a handler with the event, with local values."""

    function_name = memory_limit_in_mb = log_group_name = log_stream_name = "local"
    function_version = "$LATEST"
    invoked_function_arn = "arn:aws:lambda:local:123456789012:function:local"

    def __init__(self, timeout_seconds: float = 28) -> None:
        self.aws_request_id = str(uuid.uuid4())
        self.end = time.monotonic() + timeout_seconds

    def get_remaining_time_in_millis(self) -> int:
        """Return the time until the timeout, in milliseconds."""
        return max(0, int((self.end - time.monotonic()) * 1000))


class LayerOnly:
    """A finder for `sys.meta_path` that refuses modules of packages that are locked for development only."""

    def __init__(self) -> None:
        locks = (PROJECT / "requirements-dev.txt", APP / "requirements.txt")
        development, layer = (set(re.findall(r"^[\w.-]+", lock.read_text(encoding="utf-8"), re.M)) for lock in locks)
        packages = development - layer - PROVIDED
        self.modules = {
            module
            for module, names in packages_distributions().items()
            if {re.sub(r"[-_.]+", "-", name).lower() for name in names} <= packages
        }

    def find_spec(self, name: str, *_: object) -> None:
        """Leave a module to the other finders.

        Raises:
            ModuleNotFoundError: Lambda would not find it.
        """
        if name in self.modules:
            message = f"{name} is not in the layer: add its package to `dependencies` in pyproject.toml, and lock"
            raise ModuleNotFoundError(message, name=name)


def refuse_writing(event: str, arguments: tuple[Any, ...]) -> None:
    """Raise OSError, as an audit hook, where a file or folder is written that is read-only on Lambda."""
    writing = event == "os.mkdir" or (event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
    if not writing or isinstance(arguments[0], int) or os.fsdecode(arguments[0]).startswith(("/dev/", os.devnull)):
        return
    path = Path(os.fsdecode(arguments[0])).resolve()
    if path.is_relative_to(PROJECT) or not path.is_relative_to(TEMPORARY):
        raise OSError(errno.EROFS, f"Lambda's files are read-only, except below {TEMPORARY}", str(path))


{% if cookiecutter.__worker %}
def load_handler(for_worker: bool = False) -> Callable[[Any, Context], Any]:
    """Make this process one as on Lambda, and return the handler of the API or of the worker."""
{% else %}
def load_handler() -> Callable[[Any, Context], dict[str, Any]]:
    """Make this process one as on Lambda, and return the handler."""
{% endif %}
    region = {name: os.environ[name] for name in ("AWS_REGION", "AWS_DEFAULT_REGION") if name in os.environ}
    os.environ |= VARIABLES | region
    os.chdir(APP)
    scripts = Path(__file__).resolve().parent
    sys.path[:] = [str(APP), *(path for path in sys.path if path and Path(path).resolve() != scripts)]
    sys.dont_write_bytecode = True  # app/ is deployed as it is
    sys.meta_path.insert(0, LayerOnly())
    sys.addaudithook(refuse_writing)
    {% if cookiecutter.__worker %}
    if for_worker:
        os.environ |= VARIABLES_OF_WORKER
        warnings.filterwarnings("ignore", "Disabling idempotency")
        import worker

        return worker.handler
    {% endif %}
    from main import handler

    return handler


def main(arguments: list[str]) -> int:
    {% if cookiecutter.__worker %}
    """Call a handler with the event of a file and print the response; return 0 unless it says that something failed."""
    {% else %}
    """Call the handler with the event of a file and print the response; return 0 unless its status is 500 or more."""
    {% endif %}
    parser = argparse.ArgumentParser(prog="invoke.py", description="Call the Lambda handler with an event.")
    parser.add_argument("event", type=Path, help="a JSON file, such as events/{{ "list-items" if cookiecutter.__table else "get-item" }}.json")
    path = parser.parse_args(arguments).event
    try:
        event = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        print(f"invoke.py: {path} is not a JSON event, such as events/{{ "list-items" if cookiecutter.__table else "get-item" }}.json: {error}", file=sys.stderr)
        return 2
    {% if cookiecutter.__state %}
    import local

    local.start_aws()
    {% endif %}
    {% if cookiecutter.__worker %}
    if isinstance(event, dict) and "Records" in event:
        batch = load_handler(for_worker=True)(event, Context())
        print(json.dumps(batch, indent=2))
        return int(bool(batch["batchItemFailures"]))
    {% endif %}
    response = load_handler()(event, Context())
    print(response["statusCode"])
    headers = {name: [value] for name, value in (response.get("headers") or {}).items()}
    headers |= response.get("multiValueHeaders") or {}
    headers |= {"set-cookie": response["cookies"]} if response.get("cookies") else {}
    for name, values in headers.items():
        for value in values:
            print(f"{name}: {value}")
    body = response.get("body") or ""
    if response.get("isBase64Encoded"):
        body = base64.b64decode(body).decode(errors="backslashreplace")
    with contextlib.suppress(ValueError):
        body = json.dumps(json.loads(body), indent=2)
    print(f"\n{body}")
    return int(response["statusCode"] >= 500)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
