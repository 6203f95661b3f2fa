"""deploy.py against what stands in for AWS: it makes, changes and removes its own, and nothing of anybody else's."""

import json
import re
import shutil
from pathlib import Path

from tests.aws import ACCOUNT, Aws
from tests.conftest import Bake
from tests.deploy import INTERRUPT, Deploy, live


def inventory(aws: Aws) -> dict[str, object]:
    """Return what there is in the account."""
    client = aws.client
    return {
        "functions": [each["FunctionName"] for each in client("lambda").list_functions()["Functions"]],
        "layers": [each["LayerName"] for each in client("lambda").list_layers()["Layers"]],
        "roles": [role["RoleName"] for role in client("iam").list_roles()["Roles"]],
        "log groups": [group["logGroupName"] for group in client("logs").describe_log_groups()["logGroups"]],
        "HTTP APIs": [api["Name"] for api in client("apigatewayv2").get_apis()["Items"]],
        "REST APIs": [api["name"] for api in client("apigateway").get_rest_apis()["items"]],
    }


def test_life(deploy_each: Deploy) -> None:
    """Deploy, again without a change, changed code, back, forward, and away."""
    aws, nothing = deploy_each.aws, inventory(deploy_each.aws)
    said = deploy_each()
    assert re.search(r"^ApiUrl: https://\S+", said, re.MULTILINE)
    assert "ApiFunctionName: orders-api-api" in said
    assert live(aws) == "1"
    assert aws.client("lambda").get_function(FunctionName="orders-api-api")["Tags"]

    said = deploy_each()
    assert "Nothing had to be changed." in said
    assert deploy_each.changes == []

    deploy_each.change("# changed\n")
    assert "alias live: version 1 -> 2" in deploy_each()
    assert deploy_each.changes == ["lambda:UpdateFunctionCode", "lambda:PublishVersion", "lambda:UpdateAlias"]

    assert "alias live: version 2 -> 1" in deploy_each("--rollback")
    assert deploy_each.changes == ["lambda:UpdateAlias"]
    assert live(aws) == "1"
    assert "there is no version before 1 to go back to" in deploy_each("--rollback", code=1)

    assert "alias live: version 1 -> 2" in deploy_each(), "what is here is deployed again"
    assert deploy_each.changes == ["lambda:UpdateAlias"]

    # More rights, given by hand: the policy is not its own and stays, but is not in the way.
    policy = json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}
    )
    arn = aws.client("iam").create_policy(PolicyName="more", PolicyDocument=policy)["Policy"]["Arn"]
    aws.client("iam").attach_role_policy(RoleName="orders-api-api-us-east-1", PolicyArn=arn)
    before = inventory(aws)
    assert "nothing was deleted; --yes deletes without asking" in deploy_each("--delete", code=1)
    assert (deploy_each.changes, inventory(aws)) == ([], before)
    assert "Deleted." in deploy_each("--delete", "--yes")
    assert inventory(aws) == nothing
    assert aws.client("iam").get_policy(PolicyArn=arn)["Policy"]["AttachmentCount"] == 0
    assert "Nothing of orders-api is in us-east-1." in deploy_each("--delete")


def test_drift_is_mended(deploy_each: Deploy) -> None:
    """What somebody has changed by hand is as it should be after the next run, and nothing else is touched."""
    deploy_each()
    client = deploy_each.aws.client
    client("logs").delete_retention_policy(logGroupName="/aws/lambda/orders-api-api")
    client("lambda").update_function_configuration(FunctionName="orders-api-api", MemorySize=128)
    client("iam").put_role_policy(
        RoleName="orders-api-api-us-east-1",
        PolicyName="write-logs-and-traces",
        PolicyDocument=json.dumps(
            {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "logs:*", "Resource": "*"}]}
        ),
    )
    deploy_each()
    assert deploy_each.changes == [
        "logs:PutRetentionPolicy",
        "iam:PutRolePolicy",
        "lambda:UpdateFunctionConfiguration",
    ]  # the version that answers has been as it should be all the time
    deploy_each()
    assert deploy_each.changes == []


def test_front_door_is_made_again(deploy_each: Deploy) -> None:
    """An API that was deleted, or lost a route, comes back."""
    said = deploy_each()
    client = deploy_each.aws.client
    for api in client("apigatewayv2").get_apis()["Items"]:
        (route, _) = client("apigatewayv2").get_routes(ApiId=api["ApiId"])["Items"]
        client("apigatewayv2").delete_route(ApiId=api["ApiId"], RouteId=route["RouteId"])
    for api in client("apigateway").get_rest_apis()["items"]:
        client("apigateway").delete_rest_api(restApiId=api["id"])
    if ".lambda-url." in said:
        client("lambda").delete_function_url_config(FunctionName="orders-api-api", Qualifier="live")
    deploy_each()
    assert deploy_each.changes
    deploy_each()
    assert deploy_each.changes == []


def test_only_its_own_is_touched(deploy: Deploy) -> None:
    """Whatever has its names and not its tag stops it before the first change, and is not deleted with the rest."""
    client = deploy.aws.client
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    strangers = {
        "the log group /aws/lambda/orders-api-api": lambda: client("logs").create_log_group(
            logGroupName="/aws/lambda/orders-api-api"
        ),
        "the role orders-api-api-us-east-1": lambda: client("iam").create_role(
            RoleName="orders-api-api-us-east-1", AssumeRolePolicyDocument=trust
        ),
        "the layer orders-api-dependencies": lambda: client("lambda").publish_layer_version(
            LayerName="orders-api-dependencies", Content={"ZipFile": b"x"}, Description="mine"
        ),
        "the function orders-api-api": lambda: client("lambda").create_function(
            FunctionName="orders-api-api",
            Code={"ZipFile": b"x"},
            Role=client("iam").create_role(RoleName="mine", AssumeRolePolicyDocument=trust)["Role"]["Arn"],
            Runtime="python3.13",
            Handler="x.y",
        ),
    }
    for name, make in strangers.items():
        deploy.aws.reset()
        make()
        before = inventory(deploy.aws)
        for arguments in ([], ["--delete", "--yes"]):
            said = deploy(*arguments, code=1)
            assert f"deploy.py: {name} exists and is not tagged deployed-by='deploy.py of orders-api'" in said
            assert said.rstrip().endswith("for example --name orders-api-2.")
            assert (deploy.changes, inventory(deploy.aws)) == ([], before)


def test_other_apis_of_the_name_stay(deploy: Deploy) -> None:
    """APIs may share a name; only the one with the tag is its own."""
    stranger = deploy.aws.client("apigatewayv2").create_api(Name="orders-api", ProtocolType="HTTP")["ApiId"]
    assert stranger not in deploy()
    assert "Nothing had to be changed." in deploy()
    deploy("--delete", "--yes")
    assert [api["ApiId"] for api in deploy.aws.client("apigatewayv2").get_apis()["Items"]] == [stranger]


def test_names_and_regions(deploy: Deploy) -> None:
    """Each name and region is a deployment of its own, and every name that is taken fits."""
    long = "the-longest-name-that-is-allowed-for-one-production".ljust(100, "x")
    for arguments in ([], ["--name", "orders-api-dev"], ["--name", long, "--region", "ap-southeast-2"]):
        deploy(*arguments)
    roles = [role["RoleName"] for role in deploy.aws.client("iam").list_roles()["Roles"]]
    assert len(roles) == 3 and all(len(name) <= 64 for name in roles)
    functions = deploy.aws.client("lambda").list_functions()["Functions"]
    assert sorted(function["FunctionName"] for function in functions) == ["orders-api-api", "orders-api-dev-api"]
    (function,) = deploy.aws.client("lambda", "ap-southeast-2").list_functions()["Functions"]
    (layer,) = deploy.aws.client("lambda", "ap-southeast-2").list_layers()["Layers"]
    assert len(function["FunctionName"]) == len(layer["LayerName"]) == 64
    deploy("--name", "orders-api-dev", "--delete", "--yes")
    assert live(deploy.aws) == "1"


def test_old_versions_go(deploy: Deploy) -> None:
    """Five stay, and the one that answers."""
    for number in range(5):
        deploy.change(f"# {number}\n")
        deploy()
    assert "lambda:DeleteFunction" not in deploy.changes
    deploy.change("# one more\n")
    deploy()
    deleted = [call for name, call in deploy.calls if name == "lambda:DeleteFunction"]
    assert deleted == [{"FunctionName": "orders-api-api", "Qualifier": "1"}]
    assert live(deploy.aws) == "6"


def test_by_hand_as_by_command(bake: Bake) -> None:
    """The README's way through the Console has the values that deploy.py starts with."""
    project = bake(deployer="zip")
    rows = (project / "README.md").read_text(encoding="utf-8").splitlines()
    table = {cells[2].strip(" `"): cells[3].strip(" `") for row in rows if len(cells := row.split("|")) == 5}
    text = (project / "deploy.py").read_text(encoding="utf-8")
    memory, timeout, days = (
        re.search(rf"^{name} = (\d+)", text, re.M)[1] for name in ("MEMORY", "TIMEOUT", "LOG_RET\\w+")
    )
    assert (table["Memory"], table["Timeout"]) == (f"{memory} MB", f"0 min {timeout} sec")
    assert table["Retention setting"] == f"1 month ({days} days)"
    assert f'"DOCS": "{table["DOCS"]}"' in text


def test_least_privilege_and_no_partition(deploy_each: Deploy) -> None:
    """What the role may do is on its own log group; ARNs take their partition from the account."""
    deploy_each()
    (policy,) = (json.loads(call["PolicyDocument"]) for name, call in deploy_each.calls if name == "iam:PutRolePolicy")
    logs, traces = policy["Statement"]
    assert logs["Resource"] == f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:/aws/lambda/orders-api-api:*"
    assert all(action.startswith("xray:Put") for action in traces["Action"])
    text = (deploy_each.folder / "deploy.py").read_text(encoding="utf-8")
    assert not re.search(r"arn:aws|amazonaws\.com(?!\")", text.replace('"lambda.amazonaws.com"', ""))


def test_address_in_every_partition(bake: Bake, aws: Aws, tmp_path: Path) -> None:
    """The address of a REST API ends as the region's partition does."""
    shutil.copytree(bake(deployer="zip", api="rest_api", build_layer=True), tmp_path / "project")
    deploy = Deploy(tmp_path / "project", aws)
    for region, suffix in (("cn-north-1", "amazonaws.com.cn"), ("eusc-de-east-1", "amazonaws.eu")):
        said = deploy("--region", region)
        assert re.search(rf"^ApiUrl: https://\w+\.execute-api\.{region}\.{re.escape(suffix)}/prod/$", said, re.M), said


def test_rollback_goes_where_it_answered(deploy: Deploy) -> None:
    """Not to a version that was published and never answered, nor to the one that was left by a rollback."""
    deploy()
    deploy.change("# bad\n")
    deploy()
    deploy("--rollback")
    deploy.change("# good\n")
    assert "alias live: version 1 -> 3" in deploy()
    deploy.change("# interrupted\n")
    (deploy.folder / "sitecustomize.py").write_text(INTERRUPT, encoding="utf-8")
    deploy(code=130, CHANGES="2", PYTHONPATH=str(deploy.folder))  # published, and no further
    deploy.change("# better\n")
    assert "alias live: version 3 -> 5" in deploy()
    assert "alias live: version 5 -> 3" in deploy("--rollback")
    assert "alias live: version 3 -> 1" in deploy("--rollback")
    assert "there is no version before 1 to go back to" in deploy("--rollback", code=1)


def test_integration_of_the_user_stays(deploy: Deploy) -> None:
    """An HTTP API may have routes of its owner's own."""
    deploy()
    gateway = deploy.aws.client("apigatewayv2")
    (api,) = gateway.get_apis()["Items"]
    (ours,) = gateway.get_integrations(ApiId=api["ApiId"])["Items"]
    theirs = {"IntegrationType": "HTTP_PROXY", "IntegrationUri": "https://example.com", "PayloadFormatVersion": "1.0"}
    other = gateway.create_integration(ApiId=api["ApiId"], IntegrationMethod="GET", **theirs)["IntegrationId"]
    gateway.delete_integration(ApiId=api["ApiId"], IntegrationId=ours["IntegrationId"])
    deploy()
    kept = gateway.get_integration(ApiId=api["ApiId"], IntegrationId=other)
    assert {name: kept[name] for name in theirs} == theirs
    deploy()
    assert deploy.changes == []


def test_earlier_front_door_is_shut(bake: Bake, aws: Aws, tmp_path: Path) -> None:
    """After a change of `api` what stood in front before may no longer call the function, and it is said."""
    for api in ("http_api", "function_url"):
        shutil.copytree(bake(deployer="zip", api=api, build_layer=True), tmp_path / api / "project")
    Deploy(tmp_path / "http_api" / "project", aws)()
    said = Deploy(tmp_path / "function_url" / "project", aws)()
    assert re.search(r"permission api-\w+ of an earlier front door: removed; delete that in the Console", said)
    policy = aws.client("lambda").get_policy(FunctionName="orders-api-api", Qualifier="live")["Policy"]
    assert [statement["Sid"] for statement in json.loads(policy)["Statement"]] == ["url", "url-invoke"]
