"""What is left to do once the files are written: build package/ if asked, and say what comes next.

The project is whole before this runs, and nothing here can fail it.
"""

import json
import os
import subprocess
import sys

LATER = "package/ is not built yet: run `python build.py layer` in the project, or `make layer`."


def building(answers: dict[str, object]) -> bool:
    """Say whether package/ is to be built now.

    An update tool renders the project several times over to compare it, and records the commit it came from: it gets
    the files only.
    """
    return answers["build_layer"] is True and "_commit" not in answers


def build_layer() -> bool:
    """Let the project's own build.py fill package/, and say whether it did."""
    try:
        environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "build.py", "layer"]
        return subprocess.run(command, stdin=subprocess.DEVNULL, env=environment).returncode == 0
    except OSError as error:
        print(f"build.py could not be started: {error}", flush=True)
        return False


def next_steps(slug: str, built: bool) -> list[str]:
    """Return the lines that tell what was made and what to type next."""
    steps = [f"Created {slug}. Next:", f"  cd {slug}", "  make test", "  sam build && sam deploy --guided"]
    return steps if built else [LATER, *steps]


if __name__ == "__main__":
    answers = json.loads(r"""{{ cookiecutter | tojson }}""")
    built = building(answers) and build_layer()
    print("\n".join(next_steps(answers["project_slug"], built)))
