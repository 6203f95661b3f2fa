"""deploy.py of a project with the deployer zip, run as it is typed, and each call to AWS that it makes."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.aws import Aws
from tests.machine import clean_environment

# Runs a script as `python script.py ...` would, and writes down each call to AWS before it is made.
RECORDER = """
import json, runpy, sys
from botocore.client import BaseClient
log, script, *arguments = sys.argv[1:]
make = BaseClient._make_api_call
def call(self, operation, parameters):
    with open(log, "a", encoding="utf-8") as target:
        service = self.meta.service_model.service_name
        target.write(json.dumps([f"{service}:{operation}", parameters], default=lambda value: len(value)) + "\\n")
    return make(self, operation, parameters)
BaseClient._make_api_call = call
sys.argv = [script, *arguments]
sys.path.insert(0, "scripts")
runpy.run_path(script, run_name="__main__")
"""

# As sitecustomize.py of a run: it ends as by Ctrl-C once it has made as many changes as CHANGES says.
INTERRUPT = """
import os, re
from botocore.client import BaseClient
plain, left = BaseClient._make_api_call, [int(os.environ["CHANGES"])]
def call(self, operation, parameters):
    if not re.match("Get|List|Describe", operation):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
    return plain(self, operation, parameters)
BaseClient._make_api_call = call
"""

READS = re.compile(r":(Get|List|Describe|HeadObject)")


class Deploy:
    """A project with deploy.py, which a call runs."""

    def __init__(self, folder: Path, aws: Aws) -> None:
        self.folder, self.aws, self.log = folder, aws, folder.parent / "calls"

    def __call__(self, *arguments: str, code: int = 0, **environment: str) -> str:
        """Run deploy.py, and return what it says; the calls that it makes are in `calls`."""
        self.log.write_text("", encoding="utf-8")
        variables = clean_environment(self.folder.parent / "home", Path(sys.executable).parent, **self.aws.environment)
        command = [sys.executable, "-B", "-c", RECORDER, self.log, "scripts/deploy.py", *arguments]
        result = subprocess.run(
            command,
            cwd=self.folder,
            env=variables | environment,
            capture_output=True,
            encoding="utf-8",
            stdin=subprocess.DEVNULL,
        )
        assert result.returncode == code, result.stdout + result.stderr
        assert (result.stdout + result.stderr).isascii()
        assert "Traceback" not in result.stderr
        return result.stdout + result.stderr

    @property
    def calls(self) -> list[tuple[str, dict[str, Any]]]:
        """Return the calls of the last run."""
        return [tuple(json.loads(line)) for line in self.log.read_text(encoding="utf-8").splitlines()]

    @property
    def changes(self) -> list[str]:
        """Return the operations of the last run that could change something."""
        return [operation for operation, _ in self.calls if not READS.search(operation)]

    def change(self, text: str) -> None:
        """Change the code."""
        with (self.folder / "app" / "items.py").open("a", encoding="utf-8") as module:
            module.write(text)


def live(aws: Aws) -> str:
    """Return the version that the address calls."""
    return aws.client("lambda").get_alias(FunctionName="orders-api-api", Name="live")["FunctionVersion"]
