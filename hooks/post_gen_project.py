"""Build package/ and make a git repository if asked, then print what was created and the next commands.

The project is complete before this runs. Cookiecutter deletes the project if a hook fails, so this one always exits
with 0.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

DEPLOY = {"sam": "make deploy", "serverless": "npm ci && npx osls deploy", "zip": "make deploy"}
COMMIT = "Run `git init --initial-branch=main`, `git add --all` and `git commit` in the project."
LATER = "package/ is not built yet: run `python scripts/build.py layer` in the project, or `make layer`."


def should_build(answers: dict[str, object]) -> bool:
    """Return True if package/ is to be built now: the user asked for it, and Cookiecutter runs, not cruft.

    cruft renders the project several times to compare versions. It adds `_commit` to the answers.
    """
    return answers["build_layer"] is True and "_commit" not in answers


def is_cruft_comparison(answers: dict[str, object], project: Path) -> bool:
    """Return True if cruft renders into a temporary folder to compare versions: then nothing is printed."""
    return "_commit" in answers and project.parent.parent == Path(tempfile.gettempdir()).resolve()


def build_layer() -> bool:
    """Run the project's own build.py and return True if it has built package/.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed; the terminal has interrupted build.py too, and it has ended.
    """
    command = [sys.executable, "scripts/build.py", "layer"]
    # No bytecode: the folder has to contain only the rendered files and the layer.
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment) as process:
            try:
                return process.wait() == 0
            except KeyboardInterrupt:
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                process.wait()
                raise
    except OSError as error:
        say(f"build.py could not be started: {error}")
        return False
    finally:
        signal.signal(signal.SIGINT, before)


def should_commit(answers: dict[str, object]) -> bool:
    """Return True if a git repository is to be made: the user asked for it, and Cookiecutter runs, not cruft."""
    return answers["git_init"] is True and "_commit" not in answers


def commit(project: Path) -> str:
    """Make a git repository with a first commit; return why that failed and the commands for it, or an empty text."""
    # Nobody is asked for a password.
    environment = os.environ | {"GIT_TERMINAL_PROMPT": "0"}

    def git(*arguments: str) -> str:
        command = ["git", *arguments]
        run = subprocess.run(
            command, cwd=project, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=60
        )
        if run.returncode:
            lines = (run.stderr or run.stdout).decode(errors="replace").strip().splitlines()
            raise OSError(f"git {arguments[0]}: {lines[-1] if lines else f'exit code {run.returncode}'}")
        return run.stdout.decode(errors="replace").strip()

    try:
        with contextlib.suppress(OSError):
            return f"The project is in the git repository {git('rev-parse', '--show-toplevel')}; commit it there."
        # The workflows run on the branch main.
        git("init", "--quiet", "--initial-branch=main")
        git("add", "--all")
        git("commit", "--quiet", "--message=Create the service from its template")
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{error}. {COMMIT}"
    return ""


def summary(answers: dict[str, object], project: Path, built: bool, skipped: str = "") -> list[str]:
    """Return the lines to print: what was created, what was skipped, and the next three commands."""
    values = [answers[prompt] for prompt in ("runtime", "architecture", "deployer", "api", "aws_region")]
    values += [answers[prompt] for prompt in ("storage", "events") if answers[prompt] != "none"]
    chosen = ", ".join([*map(str, values), *(["secret"] if answers["secret"] else [])])
    start = Path(os.environ.get("PWD") or project.parent)
    try:
        folder = min(os.path.relpath(project, start), str(project), key=len)
    except ValueError:  # another drive of Windows
        folder = str(project)
    return [
        f"Created {answers['project_slug']}: {chosen}.",
        *([] if built else [LATER]),
        *([f"No commit was made. {skipped}"] if skipped else []),
        "Next:",
        f'  cd "{folder}"' if " " in folder else f"  cd {folder}",
        "  make test",
        f"  {DEPLOY[str(answers['deployer'])]}",
    ]


def say(line: str) -> None:
    """Print a line, with escapes for non-ASCII characters; ignore a closed standard output."""
    try:
        print(line.encode("ascii", "backslashreplace").decode(), flush=True)
    except (OSError, ValueError):
        # Python would try once more at exit, and end with an error.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main(answers: dict[str, object], warnings: list[str], project: Path) -> None:
    """Build the layer and make a repository if asked, and print the next commands."""
    # They have files of one answer only, and Cookiecutter makes them for each.
    for folder in ("stages", ".github/workflows", ".github"):
        with contextlib.suppress(OSError):
            (project / folder).rmdir()
    if is_cruft_comparison(answers, project):
        return
    try:
        built = should_build(answers) and build_layer()
    except KeyboardInterrupt:
        say(f"Stopped: {answers['project_slug']} is complete, but {LATER}")
        return
    skipped = commit(project) if should_commit(answers) else ""
    for line in [*warnings, *summary(answers, project, built, skipped)]:
        say(line)


if __name__ == "__main__":
    # Ignore Ctrl-C, except during the build of the layer.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    main(
        json.loads(r"""{{ cookiecutter | tojson }}"""),
        json.loads(r"""{{ cookiecutter | warnings | tojson }}"""),
        Path.cwd().resolve(),
    )
