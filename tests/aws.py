"""AWS on this machine for osls: moto's server, with what osls needs and moto lacks.

moto has no SAM transform, its CloudFormation creates nothing of API Gateway's HTTP APIs or of Function URLs, and it
runs no function. So what osls writes about those is checked in its template.
"""

import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import boto3

from tests.machine import ROOT, free_port

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
ACCOUNT = "123456789012"


class Aws:
    """A server that answers as AWS does; leaving the `with` block ends it."""

    def __init__(self, log: Path) -> None:
        self.port, self.log = free_port(), log
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = CREDENTIALS | {"AWS_ENDPOINT_URL": self.url, "AWS_EC2_METADATA_DISABLED": "true"}

    def __enter__(self) -> "Aws":
        """Start it, and wait until it answers."""
        command = [sys.executable, "-B", "-m", "tests.aws", str(self.port)]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
        end = time.monotonic() + 30
        while True:
            try:
                self.reset()
                return self
            except OSError:
                assert time.monotonic() < end and self.process.poll() is None, self.log.read_text()
                time.sleep(0.05)

    def __exit__(self, *_: object) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(10)

    def reset(self) -> None:
        """Forget everything that was made."""
        urllib.request.urlopen(f"{self.url}/moto-api/reset", b"").close()  # noqa: S310 - it is ours

    def client(self, service: str, region: str = "us-east-1") -> Any:
        """Return a client of one of its services."""
        return boto3.client(
            service,
            region_name=region,
            endpoint_url=self.url,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",  # noqa: S106 - it lets nobody in
        )


def serve(port: str) -> None:
    """Run moto's server, on 127.0.0.1 alone."""
    import moto.cloudformation.models as cloudformation
    from moto.awslambda.models import LambdaFunction
    from moto.server import main

    # cfn-lint's advice is no reason for CloudFormation to refuse a template; moto refuses it for any finding.
    every_finding = cloudformation.validate_template_cfn_lint
    cloudformation.validate_template_cfn_lint = lambda template: [
        finding for finding in every_finding(template) if finding.rule.id.startswith("E")
    ]

    # A change set changes the outputs of its stack too.
    execute = cloudformation.CloudFormationBackend.execute_change_set

    def execute_change_set(self: Any, change_set_name: str, stack_name: str | None = None) -> None:
        execute(self, change_set_name, stack_name)
        for stack in self.stacks.values():
            if stack.template:
                stack._parse_template()
                stack.output_map = stack._create_output_map()

    cloudformation.CloudFormationBackend.execute_change_set = execute_change_set

    # A function keeps its LoggingConfig.
    create, update = LambdaFunction.__init__, LambdaFunction.update_configuration
    describe = LambdaFunction.get_configuration

    def created(self: Any, account_id: str, spec: dict[str, Any], *arguments: Any, **more: Any) -> None:
        create(self, account_id, spec, *arguments, **more)
        self.logging_config = spec.get("LoggingConfig")

    def updated(self: Any, config_updates: dict[str, Any]) -> Any:
        self.logging_config = config_updates.get("LoggingConfig", self.logging_config)
        return update(self, config_updates)

    def described(self: Any, *arguments: Any, **more: Any) -> dict[str, Any]:
        return describe(self, *arguments, **more) | {"LoggingConfig": self.logging_config or {"LogFormat": "Text"}}

    LambdaFunction.__init__, LambdaFunction.update_configuration = created, updated
    LambdaFunction.get_configuration = described
    main(["-H", "127.0.0.1", "-p", port])


if __name__ == "__main__":
    serve(sys.argv[1])
