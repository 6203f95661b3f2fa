{% set front_end = "" if cookiecutter.api == "function_url" else " and of API Gateway" %}
"""Show the logs of the function{{ front_end }} of a stage as they come, or all lines of one request."""

import argparse
import json
import re
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any

from aws import CommandError, connect, describe, options_of, outputs, run, say

POLL_SECONDS = 2.0  # between two requests to CloudWatch Logs
LATE = 60_000  # milliseconds by which an event may be older than one that was shown before it
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
# What a line shows in a place of its own, or not at all.
SHOWN = {"timestamp", "time", "level", "type", "message", "requestId", "stackTrace", "errorType", "errorMessage"}


def events(client: Any, group: str, start: int, **request: str) -> Iterator[dict[str, Any]]:
    """Yield the events of a log group since a time in milliseconds."""
    for page in client.get_paginator("filter_log_events").paginate(logGroupName=group, startTime=start, **request):
        yield from page["events"]


def show(found: list[dict[str, Any]]) -> None:
    """Print events, the oldest first."""
    for event in sorted(found, key=lambda event: int(event["timestamp"])):
        # Clients send some of this text, and nothing in it may control the terminal.
        say(re.sub(r"[^\n -~]", lambda character: ascii(character[0])[1:-1], line(event)))


def line(event: dict[str, Any]) -> str:
    """Return an event as text: time, level, request id and message, then the traceback in lines of its own."""
    start = f"{datetime.fromtimestamp(event['timestamp'] / 1000).astimezone():%Y-%m-%d %H:%M:%S}"
    record: Any = None
    with suppress(ValueError):
        record = json.loads(event["message"])
    if not isinstance(record, dict):
        return f"{start} {event['message'].rstrip()}"
    if "apiRequestId" in record:  # of the access log
        errors = sorted({str(record.get(name, "-")) for name in ("integrationError", "error")} - {"-", ""})
        level, words = "ACCESS", [": ".join(["{method} {path} {status} in {latency} ms".format(**record), *errors])]
    else:
        # Lambda's own lines are nested: {"type": "platform.report", "record": {"requestId": "", "metrics": {}}}.
        for name in ("record", "metrics"):
            record |= record[name] if isinstance(record.get(name), dict) else {}
        level = record.get("level", "LAMBDA" if "type" in record else "-")
        more = {key: value for key, value in record.items() if key not in SHOWN and not isinstance(value, dict | list)}
        words = [str(record.get("message", record.get("type", ""))), *(f"{key}={more[key]}" for key in more)]
    lines = [" ".join([start, level, record.get("requestId", "-"), *words])]
    if "errorType" in record:
        lines += "".join(record.get("stackTrace", [])).splitlines()
        lines.append(f"{record['errorType']}: {record.get('errorMessage')}")
    return "\n".join(lines)


def follow(client: Any, groups: list[str], start: int) -> None:
    """Print the events of log groups as they come, until Ctrl-C."""
    starts = dict.fromkeys(groups, start)
    seen: dict[str, dict[str, int]] = {group: {} for group in groups}
    while True:
        fresh = []
        for group in groups:
            for event in events(client, group, starts[group]):
                if event["eventId"] not in seen[group]:
                    fresh.append(event)
                    seen[group][event["eventId"]] = event["timestamp"]
            starts[group] = max(starts[group], max(seen[group].values(), default=0) - LATE)
            seen[group] = {key: at for key, at in seen[group].items() if at >= starts[group]}
        show(fresh)
        time.sleep(POLL_SECONDS)


def command(options: argparse.Namespace) -> None:
    """Do what the command line asks for; raise CommandError if it cannot be done."""
    if not (period := re.fullmatch(r"(\d{1,6})([smhd])", options.since or ("7d" if options.request else "10m"))):
        raise CommandError(f"--since {options.since!a}: write a number and s, m, h or d, such as 10m")
    if not re.fullmatch(r"[\w-]*", options.request):
        raise CommandError(f"--request {options.request!a}: write what the header x-request-id of the response has")
    session, name = connect(options)
    client, found = session.client("logs"), outputs(describe(session.client("cloudformation"), name))
    if not (groups := [found[key] for key in ("ApiLogGroupName", "AccessLogGroupName") if key in found]):
        raise CommandError(f"nothing is deployed to {name} in {session.region_name}")
    start = int((time.time() - int(period[1]) * SECONDS[period[2]]) * 1000)
    if not options.request:
        with suppress(KeyboardInterrupt):
            follow(client, groups, start)
        return
    pattern = f'"{options.request}"'
    lines = [event for group in groups for event in events(client, group, start, filterPattern=pattern)]
    if not lines:
        advice = "a line takes some seconds to arrive, and `--since 30d` looks further back"
        raise CommandError(f"the logs of {name} have no request {options.request} in the last {period[0]}; {advice}")
    show(lines)


def main(arguments: list[str]) -> int:
    """Run the command and return its exit code: 0 if it succeeded, 1 if not; print the reason to standard error."""
    parser = options_of("logs.py", __doc__)
    parser.add_argument("--request", default="", metavar="ID", help="show the lines of this request, and end")
    parser.add_argument("--since", help="how far to look back, such as 30s, 10m, 2h or 7d; 10m, with --request 7d")
    options = parser.parse_args(arguments)
    return run("logs.py", lambda: command(options))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
