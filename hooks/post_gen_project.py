"""What is left to do once the files are written: build package/ if asked, and say what was made and what comes next.

The project is whole before this runs, and nothing here can fail it.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

DEPLOY = {"sam": "sam build && sam deploy --guided", "serverless": "npm ci && npx osls deploy", "zip": "make deploy"}
LATER = "package/ is not built yet: run `python scripts/build.py layer` in the project, or `make layer`."


def building(answers: dict[str, object]) -> bool:
    """Say whether package/ is to be built now.

    An update tool renders the project several times over to compare it, and records the commit it came from: it gets
    the files only.
    """
    return answers["build_layer"] is True and "_commit" not in answers


def updating(answers: dict[str, object], project: Path) -> bool:
    """Say whether cruft is comparing two versions, each rendered into a temporary folder that nobody will see."""
    return "_commit" in answers and project.parent.parent == Path(tempfile.gettempdir()).resolve()


def build_layer() -> bool:
    """Let the project's own build.py fill package/, and say whether it did."""
    command = [sys.executable, "scripts/build.py", "layer"]
    # Nothing here asks a question, and the folder is to hold what is rendered and the layer.
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, env=environment).returncode == 0
    except OSError as error:
        say(f"build.py could not be started: {error}")
        return False


def summary(answers: dict[str, object], project: Path, built: bool) -> list[str]:
    """Return the lines that tell what was made, what was skipped, and the next three commands."""
    chosen = ", ".join(str(answers[prompt]) for prompt in ("runtime", "architecture", "deployer", "api", "aws_region"))
    start = Path(os.environ.get("PWD") or project.parent)
    try:
        folder = min(os.path.relpath(project, start), str(project), key=len)
    except ValueError:  # another drive of Windows
        folder = str(project)
    return [
        f"Created {answers['project_slug']}: {chosen}.",
        *([] if built else [LATER]),
        "Next:",
        f'  cd "{folder}"' if " " in folder else f"  cd {folder}",
        "  make test",
        f"  {DEPLOY[str(answers['deployer'])]}",
    ]


def say(line: str) -> None:
    """Print a line on any console; that it is closed, or cannot show a letter, is no reason to fail."""
    try:
        print(line.encode("ascii", "backslashreplace").decode(), flush=True)
    except (OSError, ValueError):
        # Python would try once more at exit, and end with an error.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    answers = json.loads(r"""{{ cookiecutter | tojson }}""")
    here = Path.cwd().resolve()
    if not updating(answers, here):
        for line in summary(answers, here, built=building(answers) and build_layer()):
            say(line)
