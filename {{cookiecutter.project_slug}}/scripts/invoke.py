"""Call the Lambda handler in this process: `python scripts/invoke.py events/get-item.json` prints the response."""

import argparse
import base64
import contextlib
import json
import sys
import time
import uuid
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent


class Context:
    """The context that Lambda passes to a handler with the event, with local values."""

    function_name = memory_limit_in_mb = log_group_name = log_stream_name = "local"
    function_version = "$LATEST"
    invoked_function_arn = "arn:aws:lambda:local:123456789012:function:local"

    def __init__(self, timeout_seconds: int = 28) -> None:
        self.aws_request_id = str(uuid.uuid4())
        self.end = time.monotonic() + timeout_seconds

    def get_remaining_time_in_millis(self) -> int:
        """Return the time until the timeout, in milliseconds."""
        return max(0, int((self.end - time.monotonic()) * 1000))


def main(arguments: list[str]) -> int:
    """Call the handler with the event of a file and print the response; return 0 unless its status is 500 or more."""
    parser = argparse.ArgumentParser(prog="invoke.py", description="Call the Lambda handler with an event.")
    parser.add_argument("event", type=Path, help="a JSON file, such as events/get-item.json")
    path = parser.parse_args(arguments).event
    try:
        event = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        print(f"invoke.py: {path} is no event in JSON, such as events/get-item.json: {error}", file=sys.stderr)
        return 2
    sys.path.insert(0, str(PROJECT / "app"))
    sys.dont_write_bytecode = True  # app/ is deployed as it is
    from main import handler

    response = handler(event, Context())
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
