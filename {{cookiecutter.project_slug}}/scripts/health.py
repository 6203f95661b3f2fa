"""Print the address of the deployed service, and ask it for /health; a deployment by a workflow ends with this.

    python scripts/health.py --stage prod

What was created a moment ago may not answer yet, so that it asks again for a minute before it fails.
"""

import argparse
import sys
import time
import urllib.error
import urllib.request

from aws import CommandError, connect, describe, options_of, outputs, run, say

PATIENCE, PAUSE, TIMEOUT = 60.0, 2.0, 35.0  # seconds: in all, between two requests, and for an answer


def problem_of(address: str) -> str:
    """Return why an address does not answer with status 200; an empty text if it does."""
    try:
        with urllib.request.urlopen(address, timeout=TIMEOUT) as answer:  # noqa: S310 - an output of the stack
            return "" if answer.status == 200 else f"status {answer.status}"
    except urllib.error.HTTPError as error:
        return f"status {error.code}"
    except OSError as error:
        return str(error)


def ask(options: argparse.Namespace) -> None:
    """Do what the command line asks for; raise CommandError if the service does not answer."""
    session, name = connect(options)
    url = outputs(describe(session.client("cloudformation"), name)).get("ApiUrl")
    if not url:
        raise CommandError(f"there is nothing to ask: {session.region_name} has no stack {name} with an output ApiUrl")
    say(f"ApiUrl: {url}")
    end = time.monotonic() + PATIENCE
    while problem := problem_of(f"{url}health"):
        if time.monotonic() > end:
            raise CommandError(f"{url}health does not answer with status 200, but: {problem}")
        time.sleep(PAUSE)
    say("/health answers with status 200.")


def main(arguments: list[str]) -> int:
    """Run the command and return its exit code: 0 if it succeeded, 1 if not; print the reason to standard error."""
    options = options_of("health.py", __doc__).parse_args(arguments)
    return run("health.py", lambda: ask(options))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
