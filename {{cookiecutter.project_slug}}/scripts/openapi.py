"""Write openapi.json, the contract of the API for those who call it: `python scripts/openapi.py`.

With --check, nothing is written: the exit code is 1 if openapi.json is not what the code in app/ makes of it.
"""

import argparse
import json
import sys
import warnings
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
CONTRACT = PROJECT / "openapi.json"


class SameNameError(Exception):
    """Two endpoints have the same operation id."""


def contract() -> str:
    """Return the OpenAPI document of the application as JSON.

    Raises:
        SameNameError: a generated client would have one function for two endpoints.
    """
    sys.dont_write_bytecode = True  # app/ is deployed as it is
    sys.path.insert(0, str(PROJECT / "app"))
    from main import app

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        document = app.openapi()
    twice = [str(warning.message) for warning in caught if "Duplicate Operation ID" in str(warning.message)]
    if twice:
        raise SameNameError(f"{' '.join(twice[0].split())}; give one of the two functions another name")
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def main(arguments: list[str]) -> int:
    """Write openapi.json, or check it; return the exit code."""
    parser = argparse.ArgumentParser(prog="openapi.py", description="Write openapi.json, the contract of the API.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if openapi.json is stale")
    check = parser.parse_args(arguments).check
    try:
        document = contract()
    except SameNameError as error:
        print(f"openapi.py: {error}.", file=sys.stderr)
        return 1
    written = CONTRACT.read_text(encoding="utf-8") if CONTRACT.exists() else ""
    if document == written:
        return 0
    if check:
        print("openapi.json is stale: run `make openapi`, look at the difference, and commit it.", file=sys.stderr)
        return 1
    CONTRACT.write_text(document, encoding="utf-8", newline="\n")
    print("openapi.json is written.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
