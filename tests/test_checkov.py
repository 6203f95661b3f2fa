"""checkov finds nothing in the infrastructure but what is skipped in place, with a reason."""

import json
import subprocess
from itertools import product
from pathlib import Path

import pytest

from tests.check import environment
from tests.conftest import CONTEXT, ROOT, VARIANTS, Bake, Package
from tests.machine import clean_environment
from tests.parsers import read_yaml
from tests.sam import translate
from tests.serverless import template
from tests.test_permissions import STATE, WITH_STATE
from tests.test_permissions import deployed as with_state

# SAM makes these resources, and copies no metadata to them, so nothing can be skipped in place.
OF_SAM = {
    ("sam-rest_api.json", "RestApiStage", "CKV_AWS_120"),  # skipped at RestApi: a cache costs by the hour
    ("sam-function_url.json", "ApiFunctionUrl", "CKV_AWS_258"),  # the URL is public until authentication is added
    ("zip-sns.json", "ApiFunctionUrl", "CKV_AWS_258"),  # the same
}

Results = set[tuple[str, str, str]]  # file, resource and check


def checkov(folder: Path) -> tuple[Results, Results]:
    """Return the checks that failed in the templates of a folder, and those that are skipped."""
    command = [environment(ROOT / "requirements" / "checkov.txt") / "bin" / "checkov", "--directory", folder]
    options = ["--framework", "cloudformation", "--output", "json", "--skip-download", "--compact"]
    variables, files = clean_environment(folder, LOG_LEVEL="ERROR"), len(list(folder.iterdir()))
    result = subprocess.run([*command, *options], cwd=folder, env=variables, capture_output=True, encoding="utf-8")
    report = json.loads(result.stdout)
    assert report["summary"]["parsing_errors"] == 0
    assert report["summary"]["resource_count"] >= files
    failed, skipped = (
        {
            (Path(each["file_path"]).name, each["resource"].split(".")[-1], each["check_id"])
            for each in report["results"][f"{kind}_checks"]
        }
        for kind in ("failed", "skipped")
    )
    return failed, skipped


def deployed(bake: Bake, package: Package) -> dict[str, dict[str, object]]:
    """Return what is deployed of each front end by each engine, also with state, and the bucket of deploy.py."""
    made = {}
    for api in CONTEXT["api"]:
        made[f"sam-{api}.json"] = translate(bake(api=api) / "template.yaml", "us-east-1")
        project, _ = package(**VARIANTS[f"serverless-{api}".removesuffix("-http_api")])
        made[f"serverless-{api}.json"] = template(project)
    for deployer, api, events in WITH_STATE:
        made[f"{deployer}-{events}.json"] = with_state(deployer, api, bake, package, events=events, **STATE)
    bucket = bake(deployer="zip") / "scripts" / "artifacts.yaml"
    made["artifacts.json"] = json.loads(json.dumps(read_yaml(bucket.read_text(encoding="utf-8")), default=str))
    return made


@pytest.mark.deployment
def test_clean_or_skipped_with_a_reason(bake: Bake, package: Package, tmp_path: Path) -> None:
    """Each front end and engine, and table, secret and worker, as it is written and as it is deployed."""
    for file, content in deployed(bake, package).items():
        (tmp_path / file).write_text(json.dumps(content, indent=1), encoding="utf-8")
    for api in CONTEXT["api"]:
        text = (bake(api=api) / "template.yaml").read_text(encoding="utf-8")
        (tmp_path / f"{api}.yaml").write_text(text, encoding="utf-8")
    for source in CONTEXT["events"][1:]:
        text = (bake(events=source, **STATE) / "template.yaml").read_text(encoding="utf-8")
        (tmp_path / f"{source}.yaml").write_text(text, encoding="utf-8")
    failed, skipped = checkov(tmp_path)
    assert failed == OF_SAM
    of_state = {"CKV_AWS_27", "CKV_AWS_119", "CKV_AWS_149"}  # queues, tables and the secret
    assert {check for _, _, check in skipped} >= {"CKV_AWS_26", "CKV_AWS_116", "CKV_AWS_173"} | of_state


@pytest.mark.long
def test_nothing_is_skipped_that_would_pass(bake: Bake, package: Package, tmp_path: Path) -> None:
    """Without their metadata, the templates fail in what is skipped, and in nothing else."""
    folders = tmp_path / "with", tmp_path / "without"
    for folder in folders:
        folder.mkdir()
    for file, content in deployed(bake, package).items():
        (folders[0] / file).write_text(json.dumps(content, indent=1), encoding="utf-8")
        bare = {name: {**each, "Metadata": {}} for name, each in content["Resources"].items()}
        (folders[1] / file).write_text(json.dumps(content | {"Resources": bare}, indent=1), encoding="utf-8")
    (failed, skipped), (bare, nothing) = map(checkov, folders)
    assert (failed | skipped, nothing) == (bare, set())


@pytest.mark.long
def test_policies_of_deploying_roles(bake: Bake, tmp_path: Path) -> None:
    """Of each deployer and front end, and with state: nothing is skipped there."""
    each = [(deployer, api, {}) for deployer, api in product(CONTEXT["deployer"], CONTEXT["api"])]
    each += [(deployer, api, STATE | {"events": events}) for deployer, api, events in WITH_STATE]
    for number, (deployer, api, more) in enumerate(each):
        text = (bake(deployer=deployer, api=api, **more) / "docs" / "deploy-policy.yaml").read_text(encoding="utf-8")
        (tmp_path / f"{number}.yaml").write_text(text, encoding="utf-8")
    assert checkov(tmp_path) == (set(), set())
