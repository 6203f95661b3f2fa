"""serverless.yml under osls: packaging of every variant; test_deployments.py has deployments."""

import json
import re
import subprocess
import zipfile
from pathlib import Path

import pytest

from cookiecutter_fastapi_lambda.rules import REGIONS, UNKNOWN_TO_OSLS
from tests.conftest import VARIANTS, Bake, Package, files
from tests.machine import ARCHITECTURE, NODE, clean_environment, interpreter, links
from tests.ministack import Ministack
from tests.parsers import read_yaml
from tests.sam import cfn_lint
from tests.serverless import copy, node_modules, osls, template

# osls writes a DependsOn also where a reference says the same.
KNOWN = {"W3005"}


def test_package(packaged_variant: str, package: Package) -> None:
    """Variants are packaged with strict validation and no warning, and cfn-lint finds nothing in what comes out."""
    project, printed = package(**VARIANTS[packaged_variant])
    service = read_yaml((project / "serverless.yml").read_text(encoding="utf-8"))
    assert service["configValidationMode"] == "error"
    assert not re.search("warning|deprecat", printed, re.IGNORECASE), printed
    region = service["provider"]["region"]
    assert [line for line in cfn_lint(template(project), region) if line.split()[0] not in KNOWN] == []


def test_nothing_has_to_be_set(package: Package) -> None:
    """A variable without a fallback would stop every command; the stage of a REST API is in its address."""
    project, _ = package(**VARIANTS["serverless-rest_api"])
    asked = re.findall(r"\$\{(?:env|param|opt):[^}]*\}", (project / "serverless.yml").read_text(encoding="utf-8"))
    assert asked
    assert all("," in variable for variable in asked)
    assert template(project)["Outputs"]["ApiUrl"]["Value"]["Fn::Sub"].endswith(".${AWS::URLSuffix}/${Stage}/")
    assert template(project)["Parameters"]["Stage"]["Default"] == "dev"


def test_names_fit_and_parameters_arrive(bake: Bake, ministack: Ministack, tmp_path: Path) -> None:
    """With the longest slug there are 19 characters for a stage; roles and buckets are named by CloudFormation.

    Parameters that are given arrive.
    """
    slug, stage = "the-longest-name-that-is-allowed-for-one", "astageof19character"
    project = copy(bake(deployer="serverless", project_slug=slug), tmp_path / "project")
    parameters = ("logRetentionInDays=14", "docs=off", "allowedOrigins=https://a.com")
    more = [f"--param={parameter}" for parameter in parameters]
    result = osls(project, ministack, "package", "--stage", stage, "--region", "ap-southeast-2", *more)
    assert result.returncode == 0, result.stderr
    made = template(project)
    for resource in made["Resources"].values():
        properties = resource.get("Properties", {})
        assert len(properties.get("FunctionName", "")) <= 64
        assert len(properties.get("LayerName", "")) <= 140
        assert "BucketName" not in properties
    assert made["Resources"]["ApiLambdaFunction"]["Properties"]["FunctionName"] == f"{slug}-{stage}-api"
    assert made["Resources"]["IamRoleLambdaExecution"]["Properties"]["RoleName"] == {"Ref": "AWS::NoValue"}
    # Whatever the stage is called, an HTTP API serves it as $default, at the root.
    assert made["Resources"]["HttpApiStage"]["Properties"]["StageName"] == "$default"
    assert made["Outputs"]["ApiUrl"]["Value"]["Fn::Sub"].endswith(".${AWS::URLSuffix}/")
    given = {name: each["Default"] for name, each in made["Parameters"].items()}
    assert (
        given | {"AllowedOrigins": "https://a.com", "Docs": "off", "LogRetentionInDays": "14", "Stage": stage} == given
    )
    result = osls(project, ministack, "package", "--stage", "astageof20characters")
    assert result.returncode == 1
    sentence = "-api has 65 characters, and Lambda allows 64; choose a shorter --stage, for example dev"
    assert sentence in result.stdout + result.stderr
    # CloudFormation would refuse it, as the value of the parameter Stage.
    result = osls(project, ministack, "package", "--stage", "a-stage")
    assert result.returncode == 1
    assert '--stage "a-stage": the name of a stage is a lower-case letter, then ' in result.stdout + result.stderr


def test_misspelt_parameter(bake: Bake, ministack: Ministack, tmp_path: Path) -> None:
    """osls would ignore it."""
    project = copy(bake(deployer="serverless"), tmp_path / "project")
    result = osls(project, ministack, "package", "--param=doc=off")
    assert result.returncode == 1
    said = " ".join((result.stdout + result.stderr).split())
    assert '--param "doc=off": there is no parameter doc; serverless.yml has allowedOrigins, docs, publicUrl, ' in said


def test_archives(bake: Bake, ministack: Ministack, tmp_path: Path) -> None:
    """Each holds what it must and nothing that lies about; the handler is found in it, and what it imports."""
    project = copy(bake(deployer="serverless", architecture=ARCHITECTURE, build_layer=True), tmp_path / "a project")
    litter = (".env", "app/.env", ".venv/x.py", "app/__pycache__/main.cpython-310.pyc", "package/.env", "notes.txt")
    for name in litter:
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text("litter", encoding="utf-8")
    result = osls(project, ministack, "package")
    assert result.returncode == 0, result.stderr
    names = {}
    for archive in (project / ".serverless").glob("*.zip"):
        with zipfile.ZipFile(archive) as target:
            names[archive.stem] = target.namelist()
            target.extractall(tmp_path / archive.stem)
    modules = sorted(path.stem for path in (project / "app").glob("*.py"))
    assert {"items", "lambda_handler", "main"} <= set(modules)
    compiled = [f"__pycache__/{module}.cpython-313.pyc" for module in modules]
    assert names["function"] == sorted([*compiled, *(f"{module}.py" for module in modules)])
    assert all(name.startswith("python/") for name in names["layer"])
    assert {"python/fastapi/__init__.py", "python/mangum/__init__.py"} <= set(names["layer"])
    assert not [name for name in names["layer"] if name.endswith(".layer.json") or "boto" in name]
    assert set(names) == {"function", "layer"}
    handler = read_yaml((project / "serverless.yml").read_text(encoding="utf-8"))["functions"]["api"]["handler"]
    module, attribute = handler.split(".")
    paths = [str(tmp_path / "function"), str(tmp_path / "layer" / "python")]
    code = f"import sys; sys.path[:0] = {paths!r}; import {module}; assert callable({module}.{attribute})"
    subprocess.run([interpreter("python3.13"), "-I", "-S", "-B", "-c", code], check=True)


def test_regions_of_osls(bake: Bake) -> None:
    """The regions that are refused with serverless are those that osls's own schema lacks."""
    schema = node_modules(bake(deployer="serverless")) / "osls" / "lib" / "plugins" / "aws" / "provider.js"
    known = re.search(r"\bregion: \{\s*enum: \[(.*?)\]", schema.read_text(encoding="utf-8"), re.DOTALL)[1]
    assert set(UNKNOWN_TO_OSLS) == set(REGIONS) - set(re.findall(r"'([a-z0-9-]+)'", known))


@pytest.mark.deployment
def test_build_that_fails_stops_the_deployment(bake: Bake, ministack: Ministack, tmp_path: Path) -> None:
    """What cannot be built is not deployed as it was before; and without Python it is said what is missing."""
    project = copy(bake(deployer="serverless"), tmp_path / "project")
    lock = project / "app" / "requirements.txt"
    lock.write_text(lock.read_text(encoding="utf-8").replace("==", "==999.", 1), encoding="utf-8")
    result = osls(project, ministack, "deploy")
    assert result.returncode == 1
    assert "build.py could not write the archives; see its messages above" in result.stdout + result.stderr
    assert ministack.resources("orders-api") == {}
    bare = clean_environment(tmp_path, **ministack.environment) | {"PATH": str(links(tmp_path / "bin", node=NODE))}
    command = [NODE, project / "node_modules" / "osls" / "bin" / "serverless.js", "package"]
    result = subprocess.run(command, cwd=project, env=bare, capture_output=True, encoding="utf-8")
    assert result.returncode == 1
    assert "build.py needs Python 3.10 or newer on PATH" in result.stdout + result.stderr


def test_lock_fits(serverless_variant: Path) -> None:
    """The lock is the one of package.json: exact versions, hashes, and no address of anybody's registry."""
    package = json.loads((serverless_variant / "package.json").read_text(encoding="utf-8"))
    lock = json.loads((serverless_variant / "package-lock.json").read_text(encoding="utf-8"))
    root = lock["packages"].pop("")
    assert (root["name"], root["devDependencies"]) == (package["name"], package["devDependencies"])
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in package["devDependencies"].values())
    for path, entry in lock["packages"].items():
        assert entry["integrity"].startswith("sha512-"), path
        assert "resolved" not in entry, path
    pinned = lock["packages"]["node_modules/osls"]["version"]
    service = read_yaml((serverless_variant / "serverless.yml").read_text(encoding="utf-8"))
    assert service["frameworkVersion"] == pinned.split(".")[0]
    assert package["engines"] == lock["packages"]["node_modules/osls"]["engines"]
    # What README.md and docs/deploy.md say of Node.js.
    supported = re.findall(r"(\d+(?:\.\d+)?)(?:\.0)?(?= |$)", package["engines"]["node"])
    for page in ("README.md", "docs/deploy.md"):
        text = (serverless_variant / page).read_text(encoding="utf-8")
        assert f"With Node.js {', '.join(supported)} or newer, and credentials" in text
    # A plugin is of the project itself; npm has nothing to find.
    assert [plugin for plugin in service["plugins"] if not (serverless_variant / plugin).is_file()] == []


def test_no_reserved_variable_and_no_free_text(bake: Bake) -> None:
    """Lambda's own variables are not set, and no answer is read as a variable of osls."""
    hostile = files(bake(deployer="serverless", description="${self:service} ${env:NONE}", project_name="${opt:x}"))
    assert "${env:NONE}" not in hostile["serverless.yml"] and "${opt:x}" not in hostile["serverless.yml"]
    extended = read_yaml(hostile["serverless.yml"])["resources"]["extensions"]["ApiLambdaFunction"]["Properties"]
    variables = set(extended["Environment"]["Variables"]) - {"AWS_LAMBDA_EXEC_WRAPPER"}  # it is for users to set
    assert variables
    assert not [name for name in variables if name.startswith(("AWS_", "LAMBDA_", "_")) or name == "PYTHONPATH"]
