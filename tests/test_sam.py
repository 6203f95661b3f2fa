"""template.yaml, of SAM and of zip, under the real tools: SAM CLI, SAM's translator and cfn-lint."""

import re
import shutil
from pathlib import Path

import pytest

from tests.conftest import CONTEXT, NAMED, VARIANTS, Bake, deployed_with
from tests.parsers import read_toml, read_yaml
from tests.sam import cfn_lint, resolve, sam, translate


def region_of(project: Path) -> str:
    """Return the region that samconfig.toml, or aws.py, names."""
    if (project / "samconfig.toml").exists():
        text = (project / "samconfig.toml").read_text(encoding="utf-8")
        return read_toml(text)["default"]["global"]["parameters"]["region"]
    return re.search(r'REGION = ".*", "(.*)"', (project / "scripts" / "aws.py").read_text(encoding="utf-8"))[1]


@pytest.mark.parametrize(
    "name",
    # The named ones have each front end, deployer and partition.
    [
        pytest.param(name, marks=[] if name in NAMED else pytest.mark.deployment)
        for name in deployed_with("sam") + deployed_with("zip")
    ],
)
def test_translation_is_clean(name: str, bake: Bake) -> None:
    """CloudFormation has nothing to say about what the template stands for, not even a warning."""
    project = bake(**VARIANTS[name])
    region = region_of(project)
    assert cfn_lint(translate(project / "template.yaml", region), region) == []


@pytest.mark.parametrize(
    ("right", "wrong", "finding"),
    [
        ("Runtime: python3.13", "Runtime: python3.16", "E3030"),
        ("Timeout: !Ref Timeout", "Timeout: 1000", "E3717"),
        ("${AWS::StackName}/api", "${AWS::StackNam}/api", "E1019"),
        ("!Ref MemorySize", "1024", "W2001"),
        ("logs:PutLogEvents", "logs:PutLogEvent", "W3037"),
    ],
)
def test_planted_fault_is_found(right: str, wrong: str, finding: str, bake: Bake, tmp_path: Path) -> None:
    """The check that finds nothing in the template does find something."""
    text = (bake() / "template.yaml").read_text(encoding="utf-8")
    assert right in text
    spoilt = tmp_path / "template.yaml"
    spoilt.write_text(text.replace(right, wrong), encoding="utf-8")
    findings = cfn_lint(translate(spoilt, "us-east-1"), "us-east-1")
    assert finding in {line.split()[0] for line in findings}


@pytest.mark.deployment
@pytest.mark.parametrize("name", ["function_url", "zip-rest_api"])
def test_sam_cli_finds_nothing(name: str, bake: Bake) -> None:
    """With `zip` it is a SAM template like the other, which CloudFormation transforms."""
    result = sam(bake(**VARIANTS[name]), "validate", "--lint", "--region", "us-east-1")
    assert result.returncode == 0, result.stderr


def test_one_template(bake: Bake) -> None:
    """What CloudFormation makes of a zip project is what it makes of a SAM project, but for where the archives are."""
    for api in CONTEXT["api"]:
        texts = [(bake(deployer=deployer, api=api) / "template.yaml").read_text() for deployer in ("sam", "zip")]
        lines = [[line.strip() for line in text.splitlines()] for text in texts]
        assert [line for line in lines[1] if line not in lines[0]] == [
            "CodeUri: dist/function.zip",
            "ContentUri: dist/layer.zip",
        ]


def test_archives_replaced_in_place_are_other_resources(bake: Bake, tmp_path: Path) -> None:
    """Equal archives leave the layer as it is, another one makes a new version; each stack has a layer of its own."""
    text = (bake(deployer="zip") / "template.yaml").read_text(encoding="utf-8")
    layers = []
    for address in ("s3://bucket/a", "s3://bucket/a", "s3://bucket/b"):
        (tmp_path / "template.yaml").write_text(text.replace("dist/layer.zip", address), encoding="utf-8")
        made = translate(tmp_path / "template.yaml", "us-east-1")["Resources"]
        layers.append({name: each for name, each in made.items() if each["Type"] == "AWS::Lambda::LayerVersion"})
    assert layers[0] == layers[1]
    assert not layers[0].keys() & layers[2].keys()
    assert [each["Properties"]["LayerName"] for each in layers[0].values()] == [
        {"Fn::Sub": "${AWS::StackName}-dependencies"}
    ]


@pytest.mark.deployment
def test_sam_validate_finds_a_misspelt_property(bake: Bake, tmp_path: Path) -> None:
    """What the direct lint is there for."""
    project = tmp_path / "project"
    shutil.copytree(bake(), project)
    template = project / "template.yaml"
    template.write_text(template.read_text().replace("MemorySize:", "MemorySise:"), encoding="utf-8")
    result = sam(project, "validate", "--lint")
    assert result.returncode == 1
    assert "MemorySise" in result.stdout + result.stderr


def test_settings_of_the_function(template_variant: Path) -> None:
    """What every function needs said aloud: a default of SAM would be wrong, or never end."""
    text = (template_variant / "template.yaml").read_text(encoding="utf-8")
    made = resolve(read_yaml(text), {})["Resources"]
    function = made["ApiFunction"]["Properties"]
    assert 10 <= function["Timeout"] <= 29
    assert function["MemorySize"] >= 512
    assert function["Tracing"] == "Active"
    assert function["LoggingConfig"]["LogGroup"] == {"Ref": "ApiLogGroup"}
    assert "PYTHONPATH" not in str(function)
    groups = [each["Properties"] for each in made.values() if each["Type"] == "AWS::Logs::LogGroup"]
    assert groups
    for group in groups:
        assert group["RetentionInDays"] == 7
        assert "${AWS::StackName}" in group["LogGroupName"]["Fn::Sub"]


def test_timeout_ends_before_the_gateway(bake: Bake) -> None:
    """The parameter takes no timeout that API Gateway would not wait for; a Function URL waits as long as it takes."""
    for api, longest in (("http_api", 29), ("rest_api", 28), ("function_url", 900)):
        made = read_yaml((bake(api=api) / "template.yaml").read_text(encoding="utf-8"))
        assert (made["Parameters"]["Timeout"]["MinValue"], made["Parameters"]["Timeout"]["MaxValue"]) == (1, longest)


def test_template_stays_readable(bake: Bake) -> None:
    """At most 300 lines, none too long to read; and a deployment makes a known number of resources."""
    text = (bake() / "template.yaml").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 300
    assert max(map(len, text.splitlines())) <= 140
    made = resolve(translate(bake() / "template.yaml", "us-east-1"), {})["Resources"]
    assert sorted(made) == [
        *(
            "AccessLogGroup",
            "AlarmTopic",
            "ApiFunction",
            "ApiFunctionEverythingPermission",
            "ApiFunctionRootPermission",
        ),
        *("ApiLogGroup", "ApiRole", "ConcurrencyAlarm", "Dashboard"),
        *(name for name in made if name.startswith("DependenciesLayer")),
        *("ErrorAlarm", "HttpApi", "HttpApiApiGatewayDefaultStage", "LatencyAlarm", "ThrottleAlarm"),
    ]


def test_every_path_is_routed(bake: Bake) -> None:
    """The root as well as everything below it, with any method, behind either kind of API."""
    for api, name in (("http_api", "HttpApi"), ("rest_api", "RestApi")):
        template = translate(bake(api=api) / "template.yaml", "us-east-1")["Resources"]
        paths = template[name]["Properties"]["Body"]["paths"]
        assert {path: list(methods) for path, methods in paths.items()} == {
            "/": ["x-amazon-apigateway-any-method"],
            "/{proxy+}": ["x-amazon-apigateway-any-method"],
        }


def test_rest_api_has_one_stage(bake: Bake) -> None:
    """SAM is kept from making a second one, called Stage."""
    template = translate(bake(api="rest_api") / "template.yaml", "us-east-1")["Resources"]
    kinds = [resource["Type"] for resource in template.values()]
    assert kinds.count("AWS::ApiGateway::Stage") == 1
    deployments = [r for r in template.values() if r["Type"] == "AWS::ApiGateway::Deployment"]
    assert deployments
    assert not [deployment for deployment in deployments if "StageName" in deployment["Properties"]]
    assert template["RestApi"]["Properties"]["BinaryMediaTypes"] == ["*~1*"]  # CloudFormation's way to write */*


def test_function_url_has_both_permissions(bake: Bake) -> None:
    """A public URL needs two since October 2025."""
    template = translate(bake(api="function_url") / "template.yaml", "us-east-1")["Resources"]
    granted = {
        resource["Properties"]["Action"]: resource["Properties"]
        for resource in template.values()
        if resource["Type"] == "AWS::Lambda::Permission"
    }
    assert granted["lambda:InvokeFunctionUrl"]["FunctionUrlAuthType"] == "NONE"
    assert granted["lambda:InvokeFunction"]["InvokedViaFunctionUrl"] is True
    assert template["ApiFunctionUrl"]["Properties"].get("InvokeMode", "BUFFERED") == "BUFFERED"


def test_only_the_chosen_front_end(bake: Bake) -> None:
    """No word of the others, in the infrastructure and in what people read."""
    words = {"http_api": ["HttpApi", "HTTP API"], "rest_api": ["RestApi", "REST API"]}
    words["function_url"] = ["FunctionUrl", "Function URL"]
    for api in words:
        project = bake(api=api)
        pages = (path.read_text(encoding="utf-8") for path in [project / "README.md", *project.glob("docs/*.md")])
        texts = [(project / "template.yaml").read_text(encoding="utf-8"), "".join(pages)]
        for other, (resource, name) in words.items():
            assert (resource in texts[0]) == (api == other), (api, other)
            assert (name in texts[1]) == (api == other), (api, other)


def test_partitions_and_suffixes_are_not_typed(template_variant: Path) -> None:
    """The same template deploys in China and in GovCloud."""
    text = (template_variant / "template.yaml").read_text(encoding="utf-8")
    # The names of services and of the Console are the exceptions.
    text = re.sub(r"Service: \w+\.amazonaws\.com|https://console\.[\w.-]+/", "", text)
    assert not re.search(r"arn:aws|amazon(aws)?\.com", text)


@pytest.mark.parametrize(
    ("region", "console"),
    [
        ("us-east-1", "console.aws.amazon.com"),
        ("cn-north-1", "console.amazonaws.cn"),
        ("us-gov-west-1", "console.amazonaws-us-gov.com"),
        ("eusc-de-east-1", "console.amazonaws-eusc.eu"),
    ],
)
def test_console_of_the_partition(region: str, console: str, bake: Bake) -> None:
    """The dashboard's address is that of the partition's own console."""
    made = read_yaml((bake(aws_region=region) / "template.yaml").read_text(encoding="utf-8"))
    assert made["Outputs"]["DashboardUrl"]["Value"]["Fn::Sub"].startswith(f"https://{console}/cloudwatch/")
