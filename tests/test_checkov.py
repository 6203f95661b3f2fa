"""checkov finds nothing in the infrastructure but what is skipped in place, with a reason."""

import json
import subprocess
from pathlib import Path

from tests.check import environment
from tests.conftest import CONTEXT, ROOT, VARIANTS, Bake, Package
from tests.machine import clean_environment
from tests.parsers import read_yaml
from tests.sam import translate
from tests.serverless import template

# SAM makes these resources, and copies no metadata to them, so nothing can be skipped in place.
OF_SAM = {
    ("rest_api", "RestApiStage", "CKV_AWS_120"),  # skipped at RestApi: a cache costs by the hour
    ("function_url", "ApiFunctionUrl", "CKV_AWS_258"),  # the URL is public until authentication is added
}


def checkov(folder: Path) -> dict[str, set[tuple[str, str, str]]]:
    """Return the checks that failed, and those that are skipped: file, resource and check."""
    command = [environment(ROOT / "requirements" / "checkov.txt") / "bin" / "checkov", "--directory", folder]
    options = ["--framework", "cloudformation", "--output", "json", "--skip-download", "--compact"]
    variables = clean_environment(folder, PYTHONWARNINGS="ignore", LOG_LEVEL="ERROR")
    result = subprocess.run([*command, *options], cwd=folder, env=variables, capture_output=True, encoding="utf-8")
    report = json.loads(result.stdout)["results"]
    assert report["parsing_errors"] == [], report["parsing_errors"]
    return {
        kind: {
            (Path(each["file_path"]).name, each["resource"].split(".")[-1], each["check_id"])
            for each in report[f"{kind}_checks"]
        }
        for kind in ("failed", "skipped")
    }


def test_clean_or_skipped_with_a_reason(bake: Bake, package: Package, tmp_path: Path) -> None:
    """Each front end and deployer, written and translated; the bucket for archives; the policies of deploying roles."""
    made = {}
    for api in CONTEXT["api"]:
        (tmp_path / f"{api}.yaml").write_text((bake(api=api) / "template.yaml").read_text(encoding="utf-8"))
        made[f"sam-{api}"] = translate(bake(api=api) / "template.yaml", "us-east-1")
        project, _ = package(**VARIANTS[f"serverless-{api}".removesuffix("-http_api")])
        made[f"serverless-{api}"] = template(project)
        for deployer in CONTEXT["deployer"]:
            text = (bake(deployer=deployer, api=api) / "docs" / "deploy-policy.yaml").read_text(encoding="utf-8")
            (tmp_path / f"policy-{deployer}-{api}.yaml").write_text(text, encoding="utf-8")
    artifacts = bake(deployer="zip") / "scripts" / "artifacts.yaml"
    made["artifacts"] = read_yaml(artifacts.read_text(encoding="utf-8"))
    for file, content in made.items():
        (tmp_path / f"{file}.json").write_text(json.dumps(content, indent=1, default=str), encoding="utf-8")
        bare = {name: {**each, "Metadata": {}} for name, each in content["Resources"].items()}
        text = json.dumps({**content, "Resources": bare}, indent=1, default=str)
        (tmp_path / f"bare-{file}.json").write_text(text, encoding="utf-8")
    found = checkov(tmp_path)
    failed = {each for each in found["failed"] if not each[0].startswith("bare-")}
    assert failed == {(f"sam-{api}.json", resource, check) for api, resource, check in OF_SAM}
    # Nothing is skipped that would pass.
    skipped = {each for each in found["skipped"] | failed if each[0].endswith(".json")}
    assert {(f"bare-{file}", *rest) for file, *rest in skipped} == found["failed"] - failed
    assert {check for _, _, check in skipped} >= {"CKV_AWS_26", "CKV_AWS_116", "CKV_AWS_173"}
