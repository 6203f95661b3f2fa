"""The table and the secret of a project: what is made of them, the repository, and what docs/data.md says."""

import hashlib
import hmac
import importlib
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from textwrap import indent
from types import ModuleType
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule
from hypothesis.stateful import run_state_machine_as_test as run
from moto import mock_aws

from tests.conftest import CONTEXT, Bake
from tests.facts import STACK_ID, Table
from tests.machine import ARCHITECTURE, BIN, clean_environment
from tests.ministack import Ministack
from tests.sam import cfn_lint, sam, translate
from tests.serverless import node_modules, osls

KEY = {
    "BillingMode": "PAY_PER_REQUEST",
    "KeySchema": [{"AttributeName": "kind", "KeyType": "HASH"}, {"AttributeName": "id", "KeyType": "RANGE"}],
    "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in ("kind", "id")],
}
MODULES = ("clients", "settings", "store", "items")


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_table_and_secret(stage: str, table: Table) -> None:
    """The function may do with them what it does, and no more; those of prod are kept."""
    facts, prefix = table["sam", "data", stage], "Kept" if stage == "prod" else ""
    kept = dict.fromkeys(("DeletionPolicy", "UpdateReplacePolicy"), "Retain" if prefix else "Delete")
    recovery = {"PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True}}
    properties = KEY | recovery | ({"DeletionProtectionEnabled": True} if prefix else {})
    assert facts["table"] == {f"{prefix}Table": {"Properties": properties} | kept}
    generated = {"PasswordLength": 64, "ExcludePunctuation": True}
    description = {"Fn::Sub": "Key of the signatures that ${AWS::StackName} takes"}
    identity = {"Fn::Select": [2, {"Fn::Split": ["/", STACK_ID]}]}
    name = {"Fn::Sub": ["${AWS::StackName}-${Id}", {"Id": identity}]}
    secret = {"Properties": {"Name": name, "Description": description, "GenerateSecretString": generated}}
    assert facts["secret"] == {f"{prefix}Secret": secret | kept}
    name, arn = {"Ref": f"{prefix}Table"}, {"Fn::GetAtt": [f"{prefix}Secret", "Id"]}
    assert (facts["environment"]["TABLE_NAME"], facts["environment"]["SECRET_ARN"]) == (name, arn)
    assert (facts["outputs"]["TableName"], facts["outputs"]["SecretArn"]) == (name, arn)
    more = [each for each in facts["role"] if each not in table["sam", "http_api", stage]["role"]]
    methods = ("DeleteItem", "GetItem", "PutItem", "Query", "UpdateItem")
    assert more == [
        ([f"dynamodb:{method}" for method in methods], f"${{{prefix}Table.Arn}}"),
        (["secretsmanager:GetSecretValue"], f"${{{prefix}Secret.Id}}"),
    ]


def load(app: Path) -> dict[str, ModuleType]:
    """Import modules of a project's app, and forget them, so that another project's can be imported."""
    sys.path.insert(0, str(app))
    try:
        return {name: importlib.import_module(name) for name in MODULES[:3]}
    finally:
        sys.path.remove(str(app))
        for name in MODULES:
            sys.modules.pop(name, None)


@pytest.fixture
def project(bake: Bake, tmp_path: Path) -> Path:
    """Return a copy of a project with a table, for a Python that the one of the tests can read."""
    target = tmp_path / "project"
    shutil.copytree(bake(storage="dynamodb", runtime="python3.11"), target)
    return target


@pytest.fixture
def in_memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put AWS in memory in the place of the real one."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        yield


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NUMBERS = st.decimals(min_value=-(10**9), max_value=10**9, places=2)
FIELDS = st.fixed_dictionaries({"name": TEXTS, "price": NUMBERS, "tags": st.lists(TEXTS, max_size=3)})


def machine(modules: dict[str, ModuleType], steps: list[int]) -> type[RuleBasedStateMachine]:
    """Return a state machine that does the same with the repository and with a dictionary, and counts its steps."""
    clients, store = modules["clients"], modules["store"]
    namespace: dict[str, Any] = {
        "__annotations__": {"name": str, "price": Decimal, "tags": list[str]},
        "__module__": __name__,
    }
    thing = type("Thing", (store.Record,), namespace)
    changes = type("Changes", (store.BaseModel,), dict(namespace))

    class Machine(RuleBasedStateMachine):
        ids, gone = Bundle("ids"), Bundle("gone")

        def __init__(self) -> None:
            super().__init__()
            self.model: dict[str, Any] = {}
            self.things = store.Repository("thing", thing)

        @initialize()
        def table(self) -> None:
            client = clients.client("dynamodb")
            if client.list_tables()["TableNames"]:
                client.delete_table(TableName="table")
            client.create_table(TableName="table", **KEY)
            store.Repository("other", thing).create(thing(name="apart", price=1, tags=[]))

        @invariant()
        def count(self) -> None:
            steps.append(1)

        @rule(target=ids, fields=FIELDS)
        def create(self, fields: dict[str, Any]) -> str:
            created = self.things.create(thing(**fields))
            self.model[created.id] = created
            return str(created.id)

        @rule(record_id=ids, fields=FIELDS)
        def create_again(self, record_id: str, fields: dict[str, Any]) -> None:
            with pytest.raises(store.ConflictError):
                self.things.create(thing(id=record_id, **fields))

        @rule(record_id=ids, fields=FIELDS, behind=st.sampled_from([0, 0, 0, 1, -1]))
        def update(self, record_id: str, fields: dict[str, Any], behind: int) -> None:
            before = self.model[record_id]
            if behind:
                with pytest.raises(store.ConflictError):
                    self.things.update(record_id, changes(**fields), before.version - behind)
                return
            after = self.things.update(record_id, changes(**fields), before.version)
            expected = before.model_dump() | fields | {"version": before.version + 1, "updated_at": after.updated_at}
            assert after.model_dump() == expected
            assert after.updated_at >= before.updated_at
            self.model[record_id] = after

        @rule(target=gone, record_id=consumes(ids), versioned=st.booleans())
        def delete(self, record_id: str, versioned: bool) -> str:
            record = self.model.pop(record_id)
            self.things.delete(record_id, record.version if versioned else None)
            return record_id

        @rule(record_id=ids)
        def delete_another_version(self, record_id: str) -> None:
            with pytest.raises(store.ConflictError):
                self.things.delete(record_id, self.model[record_id].version + 1)

        @rule(record_id=gone, fields=FIELDS)
        def miss(self, record_id: str, fields: dict[str, Any]) -> None:
            assert self.things.get(record_id) is None
            for call in (
                lambda: self.things.update(record_id, changes(**fields), 1),
                lambda: self.things.delete(record_id),
                lambda: self.things.delete(record_id, 1),
            ):
                with pytest.raises(store.NotFoundError):
                    call()

        @rule(record_id=ids)
        def read(self, record_id: str) -> None:
            assert self.things.get(record_id) == self.model[record_id]

        @rule(limit=st.integers(1, 5))
        def read_pages(self, limit: int) -> None:
            found, (page, cursor) = [], self.things.page(limit)
            while cursor:
                assert len(page) == limit
                found += page
                page, cursor = self.things.page(limit, cursor)
            assert found + page == [self.model[record_id] for record_id in sorted(self.model)]

    return Machine


def test_repository_is_like_a_dictionary(project: Path, in_memory: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """In 500 random steps, and in any of their beginnings, it returns and refuses what a model in memory would."""
    modules = load(project / "app")
    monkeypatch.setattr(modules["settings"], "TABLE_NAME", "table")
    steps: list[int] = []
    run(machine(modules, steps), settings=settings(stateful_step_count=50, max_examples=12, phases=[Phase.generate]))
    assert len(steps) >= 500


def test_index_of_the_docs(project: Path, in_memory: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The index that docs/data.md adds is valid, and found by the method that it shows."""
    page = (project / "docs" / "data.md").read_text(encoding="utf-8")
    _, index, statement, method = re.findall(r"^```(?:python|yaml)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    path = project / "template.yaml"
    text = path.read_text(encoding="utf-8")
    attributes = re.search(r"^ +AttributeDefinitions:.*\n", text, re.MULTILINE)[0]
    text = text.replace(attributes, indent(index, " " * 6))
    last = re.search(r"^ +Action: \[dynamodb:.*\n.*\n", text, re.MULTILINE)[0]
    text = text.replace(last, last + indent(statement, " " * 14))
    path.write_text(text, encoding="utf-8")
    made = translate(path, "us-east-1")
    assert cfn_lint(made, "us-east-1") == []
    properties = [made["Resources"][name]["Properties"] for name in ("Table", "KeptTable")]
    assert [each["GlobalSecondaryIndexes"][0]["IndexName"] for each in properties] == ["ByName", "ByName"]
    policies = {each["PolicyName"]: each for each in made["Resources"]["ApiRole"]["Properties"]["Policies"]}
    allowed = policies["use-table"]["PolicyDocument"]["Statement"][1]
    assert (allowed["Action"], allowed["Resource"]["Fn::Sub"][0]) == (["dynamodb:Query"], "${Arn}/index/ByName")
    module = project / "app" / "store.py"
    code = module.read_text(encoding="utf-8")
    module.write_text(code.replace("    def key(self", f"{method}\n    def key(self"), encoding="utf-8")
    modules = load(project / "app")
    monkeypatch.setattr(modules["settings"], "TABLE_NAME", "table")
    made_of = {name: properties[0][name] for name in (*KEY, "GlobalSecondaryIndexes")}
    modules["clients"].client("dynamodb").create_table(TableName="table", **made_of)
    record = type("Named", (modules["store"].Record,), {"__annotations__": {"name": str}, "__module__": __name__})
    things = modules["store"].Repository("thing", record)
    first, _, third = (things.create(record(name=name)) for name in ("a", "b", "a"))
    assert sorted(each.id for each in things.named("a")) == sorted((first.id, third.id))


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ministack]:
    """Start what runs stacks in AWS's place, and lets functions do only what their roles allow."""
    with Ministack(tmp_path_factory.mktemp("strict"), AUTH="true") as server:
        yield server


def deploy(deployer: str, project: Path, server: Ministack) -> str:
    """Deploy a project, and return the name of its stack."""
    if deployer == "sam":
        more = server.environment | {"SAM_CLI_POLL_DELAY": "0.1"}
        results = [sam(project, command, **more) for command in ("build", "deploy")]
    elif deployer == "serverless":
        (project / "node_modules").symlink_to(node_modules(project))
        results = [osls(project, server, "deploy")]
    else:
        environment = clean_environment(project.parent / "home", BIN, **server.environment)
        command = [BIN / "python", "-B", "scripts/deploy.py"]
        results = [subprocess.run(command, cwd=project, env=environment, capture_output=True, encoding="utf-8")]
    for result in results:
        assert result.returncode == 0, result.stdout + result.stderr
    stacks = server.client("cloudformation").describe_stacks()["Stacks"]
    (name,) = (
        each["StackName"]
        for each in stacks
        if each["StackName"].startswith(project.name) and "ApiUrl" in str(each.get("Outputs"))
    )
    if deployer != "serverless":
        server.add_routes(name)
    return name


class Deployed:
    """A service with a table and a secret, seen from a client."""

    def __init__(self, deployer: str, project: Path, server: Ministack) -> None:
        self.server, self.stack = server, deploy(deployer, project, server)
        self.outputs = server.outputs(self.stack)

    def call(self, path: str, body: object = None, method: str | None = None, **headers: str) -> tuple[int, Any]:
        """Send a request; return the status and the JSON of the response."""
        sent = None if body is None else json.dumps(body).encode()
        status, answer = self.server.call(f"{self.outputs['ApiUrl']}{path}", sent, method, **headers)
        return status, json.loads(answer) if answer else None

    def statuses(self) -> list[int]:
        """Do once what needs a permission each: create, get, list, update and delete an item, and read the secret."""
        status, item = self.call("items", LAMP)
        path = f"items/{item['id']}" if status == 201 else f"items/{UNKNOWN}"
        return [
            status,
            self.call(path)[0],
            self.call("items?limit=1")[0],
            self.call(path, LAMP, "PUT", if_match='"1"')[0],
            self.call(path, method="DELETE")[0],
            self.signed(self.secret()),
        ]

    def secret(self) -> str:
        """Return the value of the secret."""
        secrets = self.server.client("secretsmanager")
        return str(secrets.get_secret_value(SecretId=self.outputs["SecretArn"])["SecretString"])

    def signed(self, key: str) -> int:
        """Return the status of a message that is signed with a key."""
        signature = hmac.new(key.encode(), json.dumps(LAMP).encode(), hashlib.sha256).hexdigest()
        return self.call("webhooks", LAMP, x_hub_signature_256=f"sha256={signature}")[0]


LAMP = {"name": "A lamp", "price": "19.90"}
UNKNOWN = "01980000-0000-7000-8000-000000000000"


@pytest.mark.deployment
@pytest.mark.parametrize("deployer", CONTEXT["deployer"])
def test_deployed(deployer: str, strict: Ministack, bake: Bake, tmp_path: Path) -> None:
    """Items are stored, a rotated secret is used at once, and of two requests that change an item at once one wins.

    The role allows that, and without any of its statements what needs it fails.
    """
    slug = f"data-{deployer}"
    answers = {"deployer": deployer, "storage": "dynamodb", "secret": True, "architecture": ARCHITECTURE}
    shutil.copytree(bake(**answers, project_slug=slug, build_layer=True), tmp_path / slug)
    service = Deployed(deployer, tmp_path / slug, strict)

    created = [service.call("items", LAMP | {"name": name}) for name in ("A lamp", "A desk", "A chair")]
    assert {status for status, _ in created} == {201}
    lamp, desk, chair = sorted((item for _, item in created), key=lambda item: str(item["id"]))
    assert service.call(f"items/{lamp['id']}") == (200, lamp)
    assert service.call("items?limit=2") == (200, {"items": [lamp, desk], "next_cursor": desk["id"]})
    assert service.call(f"items?cursor={desk['id']}") == (200, {"items": [chair], "next_cursor": None})
    status, changed = service.call(f"items/{lamp['id']}", {"name": "New", "price": 1}, "PUT", if_match='"1"')
    assert (status, changed["version"], changed["price"]) == (200, 2, "1.00")
    assert service.call(f"items/{lamp['id']}", LAMP, "PUT", if_match='"1"')[0] == 412
    assert service.call(f"items/{lamp['id']}", method="DELETE", if_match='"1"')[0] == 412
    assert service.call(f"items/{lamp['id']}", method="DELETE", if_match='"2"') == (204, None)
    assert service.call(f"items/{lamp['id']}")[0] == 404

    path = f"items/{desk['id']}"
    with ThreadPoolExecutor() as pool:
        for version in range(1, 6):
            etag = f'"{version}"'
            updates = [
                pool.submit(service.call, path, LAMP | {"price": price}, "PUT", if_match=etag) for price in (1, 2)
            ]
            both = sorted(update.result()[0] for update in updates)
            assert both == [200, 412]
    assert service.call(path)[1]["version"] == 6

    first = service.secret()
    assert (service.signed(first), service.signed("wrong")) == (202, 401)
    strict.client("secretsmanager").put_secret_value(SecretId=service.outputs["SecretArn"], SecretString="second")
    end = time.monotonic() + 30
    while service.signed("second") != 202:  # the wrong signature made it read the secret within the last ten seconds
        assert time.monotonic() < end
        time.sleep(0.5)
    assert service.signed(first) == 401

    right = [201, 200, 200, 200, 204, 202]
    assert service.statuses() == right
    iam = strict.client("iam")
    role = strict.function(service.stack)["Role"].rpartition("/")[2]
    denied = {}
    for name in ("use-table", "read-secret"):
        policy = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        (statement,) = policy["Statement"]
        for action in statement["Action"]:
            left = [each for each in statement["Action"] if each != action]
            less = policy | {"Statement": [statement | {"Action": left}] if left else []}
            if left:
                iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(less))
            else:
                iam.delete_role_policy(RoleName=role, PolicyName=name)
                restart(strict, service.stack)
            denied[action] = service.statuses()
        iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(policy))
    assert denied == {
        "dynamodb:DeleteItem": [201, 200, 200, 200, 500, 202],
        "dynamodb:GetItem": [201, 500, 200, 200, 204, 202],
        "dynamodb:PutItem": [500, 404, 200, 404, 404, 202],
        "dynamodb:Query": [201, 200, 500, 200, 204, 202],
        "dynamodb:UpdateItem": [201, 200, 200, 500, 204, 202],
        "secretsmanager:GetSecretValue": [201, 200, 200, 200, 204, 503],
    }
    restart(strict, service.stack)
    assert service.statuses() == right


def restart(server: Ministack, stack: str) -> None:
    """Start the function anew, without what it has kept."""
    function = server.function(stack)
    variables = function["Environment"]["Variables"]
    variables["STARTED"] = variables.get("STARTED", "") + "again "
    server.client("lambda").update_function_configuration(
        FunctionName=function["FunctionName"], Environment={"Variables": variables}
    )
