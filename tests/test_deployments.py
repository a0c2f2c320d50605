"""What the declarations under deployments/ and docker/ say fits the code that they name."""

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent
POOL_FILES = sorted((ROOT / "deployments").rglob("pools.yaml"))


def read(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text())


@pytest.mark.parametrize("path", POOL_FILES, ids=lambda path: path.parent.name)
def test_pool_files_declare_both_pools_and_every_variable_that_a_job_uses(path: Path) -> None:
    from flows.work_pools import read_pools

    pools = read_pools(path)
    assert {name: pool.runs for name, pool in pools.items()} == {"cpu": "grids", "gpu": "steps"}
    for pool in pools.values():
        template = pool.base_job_template()
        used = set(re.findall(r"\{\{ (\w+) \}\}", str(template["job_configuration"])))
        assert used == set(template["variables"]["properties"])


def test_pool_file_with_a_mistake_says_field_and_what_is_allowed(tmp_path: Path) -> None:
    from flows.work_pools import make_pools, read_pools
    from mixgrid.errors import InputError

    (tmp_path / "pools.yaml").write_text("gpu: {type: ray, runs: steps}\n")
    with pytest.raises(InputError, match=r"gpu\.type: 'ray': Input should be 'process' or 'kubernetes'"):
        read_pools(tmp_path / "pools.yaml")
    (tmp_path / "pools.yaml").write_text("gpu: {type: process, runs: steps, defaults: {gpus: 1}}\n")
    with pytest.raises(InputError, match=r"defaults\.gpus: no job variable; allowed: command, env"):
        make_pools(tmp_path / "pools.yaml")


def test_deployments_name_flows_by_module_and_only_parameters_these_have() -> None:
    for deployment in read("deployments/prefect.yaml")["deployments"]:
        module, name = deployment["entrypoint"].rsplit(".", 1)
        flow = getattr(import_module(module), name)
        assert set(deployment.get("parameters", {})) <= set(flow.parameters.properties)
        assert (flow.name, deployment["name"]) in {("mixgrid", "grid"), ("step", "gpu")}


def test_containers_open_ports_on_the_loopback_alone_and_write_no_password_down() -> None:
    services = read("docker/compose.yaml")["services"]
    ports = [port for service in services.values() for port in service.get("ports", ())]
    assert len(ports) == 2
    assert all(port.startswith("127.0.0.1:") for port in ports)
    secrets = {
        value
        for service in services.values()
        for name, value in service.get("environment", {}).items()
        if "PASSWORD" in name or "SECRET" in name
    }
    assert secrets
    assert all(value.startswith("${") for value in secrets)
    targets = {service["build"]["target"] for service in services.values() if "build" in service}
    text = (ROOT / "docker/Dockerfile").read_text()
    assert targets == {"cpu", "cuda"} == set(re.findall(r"^FROM base AS (\w+)$", text, re.M))
    assert all("USER root" not in line for line in text.splitlines())
