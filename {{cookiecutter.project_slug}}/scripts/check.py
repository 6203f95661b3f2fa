"""Check the infrastructure before a deployment, without credentials: what would be deployed, for each stage.

{% if cookiecutter.__serverless %}
osls writes the CloudFormation template of each stage, and cfn-lint, cloudformation-validate and the rules in
findings.py examine it, as they do docs/deploy-policy.yaml.
{% elif cookiecutter.__zip %}
template.yaml is translated as CloudFormation does, and cfn-lint, cloudformation-validate and the rules in findings.py
examine the result for each stage, docs/deploy-policy.yaml, and the template of the bucket for archives.
{% else %}
template.yaml is translated as CloudFormation does, and cfn-lint, cloudformation-validate and the rules in findings.py
examine the result for each stage, and docs/deploy-policy.yaml.
{% endif %}

    python scripts/check.py
    python scripts/check.py --audit   ask PyPI for known vulnerabilities of what the locks pin, instead

It prints a line for each finding and exits with 1 if there are any. Its tools are in .venv-check, an environment of
their own, which it makes when it runs first.
"""

import argparse
{% if not cookiecutter.__sam %}
import json
{% endif %}
{% if cookiecutter.__serverless %}
import os
{% endif %}
{% if cookiecutter.__sam %}
import shlex
{% endif %}
{% if not cookiecutter.__zip %}
import shutil
{% endif %}
import subprocess
import sys
from pathlib import Path
{% if cookiecutter.__sam %}
from typing import Any
{% endif %}

import build
from layer import LOCK
from run_uv import PROJECT, BuildError, venv_python
from scratch import scratch_folder


def main(arguments: list[str]) -> int:
    """Run the checks and return the exit code: 0 if nothing was found, 1 if something was or they could not run."""
    parser = argparse.ArgumentParser(prog="check.py", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--audit", action="store_true", help="look for known vulnerabilities of dependencies instead")
    auditing = parser.parse_args(arguments).audit
    try:
        if not auditing and Path(sys.prefix).resolve() == build.CHECK_VENV.resolve():
            return check()
        with scratch_folder():
            build.make_check_venv()
        return audit() if auditing else subprocess.run([venv_python(build.CHECK_VENV), __file__]).returncode
    except (BuildError, OSError, ValueError) as error:
        print(f"check.py: {error}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("check.py: interrupted.", file=sys.stderr)
        return 130


def audit() -> int:
    """Look for known vulnerabilities of what each lock pins, and return the exit code: 1 if there are any."""
    command = [str(venv_python(build.CHECK_VENV)), "-m", "pip_audit", "--disable-pip", "--require-hashes"]
    code = 0
    for lock in (LOCK, build.DEV_LOCK, build.CHECK_LOCK):
        name = lock.relative_to(PROJECT).as_posix()
        print(f"{name}:", flush=True)
        options = ["--progress-spinner=off", f"--requirement={lock}"]
        found = subprocess.run([*command, *options], stdout=subprocess.PIPE, encoding="utf-8")
        print(found.stdout, end="", flush=True)
        code = max(code, found.returncode)
        # A package of your own is not on PyPI, and pip-audit skips it; it skips all where a mirror answers for PyPI.
        pins = [line for line in lock.read_text(encoding="utf-8").splitlines() if "==" in line and ";" not in line]
        if found.stdout.count("could not be audited") >= len(pins):
            raise BuildError(f"nothing of {name} was audited: pypi.org answers for none of its packages")
    return code


def check() -> int:
    """Examine the templates, print what is found, and return the exit code."""
    # Imported late: only the Python of .venv-check has what it imports.
    from findings import Template, examine, read

    {% if cookiecutter.__sam %}
    sam = shutil.which("sam")
    how: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "encoding": "utf-8"}
    process = subprocess.Popen([sam, "validate", "--lint"], cwd=PROJECT, **how) if sam else None
    {% endif %}
    {% if cookiecutter.__serverless %}
    templates = [Template("serverless.yml", template, region, stage) for stage, region, template in packaged()]
    {% else %}
    templates = [
        Template("template.yaml", read(PROJECT / "template.yaml"), region, stage, parameters)
        for stage, (region, parameters) in stages().items()
    ]
    {% endif %}
    regions = {template.region for template in templates}
    {% if cookiecutter.__zip %}
    others = ["docs/deploy-policy.yaml", "scripts/artifacts.yaml"]
    {% else %}
    others = ["docs/deploy-policy.yaml"]
    {% endif %}
    for name in others:
        if (PROJECT / name).is_file():
            templates += [Template(name, read(PROJECT / name), region) for region in regions]
    found = examine(templates)
    {% if cookiecutter.__sam %}
    if not process:
        print("`sam validate` was skipped: the AWS SAM CLI is not installed.")
    elif said := failure(process):
        found.append(f"template.yaml: sam validate: {said}")
    {% endif %}
    for line in found:
        print(line)
    print(f"make check: {len(found)} found" if found else "make check: nothing found")
    return 1 if found else 0


{% if cookiecutter.__sam %}
def failure(process: subprocess.Popen[str]) -> str:
    """Return what `sam validate` found, in one line; an empty text if it found nothing."""
    said, _ = process.communicate()
    return " ".join(said.split()) if process.returncode else ""


def stages() -> dict[str, tuple[str, dict[str, str]]]:
    """Return region and parameters of each environment of samconfig.toml that `sam deploy` has settings in."""
    import tomllib  # which Python has since 3.11; check.py is started by older ones too

    config: dict[str, Any] = tomllib.loads((PROJECT / "samconfig.toml").read_text(encoding="utf-8"))
    found = {}
    for name, commands in config.items():
        if isinstance(commands, dict) and "deploy" in commands:
            settings = {**commands.get("global", {}).get("parameters", {}), **commands["deploy"]["parameters"]}
            given = settings.get("parameter_overrides", [])
            pairs = shlex.split(given) if isinstance(given, str) else given
            stage = "dev" if name == "default" else name
            found[stage] = (settings["region"], dict(pair.split("=", 1) for pair in pairs if "=" in pair))
    return found
{% elif cookiecutter.__serverless %}
def packaged() -> list[tuple[str, str, dict[str, object]]]:
    """Return the stages of serverless.yml, each with its region and the template that osls writes for it.

    Raise BuildError if osls cannot.
    """
    from findings import read

    npx = shutil.which("npx")
    if not npx or not (PROJECT / "node_modules" / "osls").is_dir():
        raise BuildError("osls is not installed: run `npm ci`")
    service, found = read(PROJECT / "serverless.yml"), []
    for stage in dict.fromkeys([service["provider"]["stage"], *service.get("params", {})]):
        if stage == "default":
            continue
        command = [npx, "osls", "package", "--stage", stage]
        # archives.js then builds no archives, and asks AWS for nothing.
        result = subprocess.run(
            command, cwd=PROJECT, env=os.environ | {"CHECK_ONLY": "1"}, capture_output=True, encoding="utf-8"
        )
        if result.returncode:
            said = " ".join((result.stdout + result.stderr).split())
            raise BuildError(f"`osls package --stage {stage}` failed: {said}")
        folder = PROJECT / ".serverless"
        state = json.loads((folder / "serverless-state.json").read_text(encoding="utf-8"))
        template = json.loads((folder / "cloudformation-template-update-stack.json").read_text(encoding="utf-8"))
        found.append((stage, state["service"]["provider"]["region"], template))
    return found
{% else %}
def stages() -> dict[str, tuple[str, dict[str, str]]]:
    """Return the region and the parameters of each stage in stages/."""
    from aws import REGION

    found = {}
    for path in sorted((PROJECT / "stages").glob("*.json")):
        found[path.stem] = (REGION, json.loads(path.read_text(encoding="utf-8"))["Parameters"])
    return found or {"dev": (REGION, {})}
{% endif %}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
