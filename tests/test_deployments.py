"""What the declarations under deployments/ and docker/ say fits the code that they name."""

import asyncio
import copy
import re
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import UUID

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


def test_the_form_of_the_grid_explains_every_field_and_wants_no_json() -> None:
    from flows.run_grid import run_grid

    schema = run_grid.parameters.model_dump_for_openapi()
    fields = {**schema["properties"], **schema["definitions"]["Routes"]["properties"]}
    assert [name for name, field in fields.items() if not field.get("description")] == []
    kinds = {name: field.get("items", field).get("type", field.get("$ref")) for name, field in fields.items()}
    assert set(kinds.values()) == {
        "string",
        "integer",
        "boolean",
        "#/definitions/Routes",
    }  # each has a control of its own
    assert schema["required"] == ["study"]
    assert next(iter(fields)) == "study"
    pools = read("deployments/prefect.yaml")["deployments"][0]["parameters"]["routes"]
    assert set(pools) == set(schema["definitions"]["Routes"]["properties"])


def rendered(pool: str, **values: object) -> Any:
    """The Kubernetes job that a worker would start for a step, as prefect-kubernetes makes it from the pool."""
    from prefect.client.schemas.objects import FlowRun
    from prefect.settings import PREFECT_API_URL, temporary_settings
    from prefect_kubernetes.worker import KubernetesWorkerJobConfiguration

    from flows.work_pools import read_pools

    template = read_pools(ROOT / "deployments/kubernetes/pools.yaml")[pool].base_job_template()
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):  # nobody is asked; without it a server starts
        job = asyncio.run(KubernetesWorkerJobConfiguration.from_template_and_values(template, values))
        job.prepare_for_flow_run(FlowRun(flow_id=UUID(int=1), name="sft stage 1 lab.small"))
    return job.job_manifest


def test_kubernetes_jobs_of_steps_get_the_gpus_asked_for_and_the_stores_keys_by_name_alone() -> None:
    job = rendered("gpu", gpus=2, image="registry.example/mixgrid:cuda", gpu_nodes={"gpu": "h100"})
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert (container["image"], container["args"]) == (
        "registry.example/mixgrid:cuda",
        ["prefect", "flow-run", "execute"],
    )
    assert container["resources"]["limits"] == {"memory": "64Gi", "nvidia.com/gpu": 2}
    assert container["envFrom"] == [{"secretRef": {"name": "mixgrid-store"}}]
    assert not [variable for variable in container["env"] if variable["name"].startswith("AWS_")]
    assert (pod["nodeSelector"], pod["tolerations"][0]["key"]) == ({"gpu": "h100"}, "nvidia.com/gpu")
    assert pod["volumes"] == [{"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "16Gi"}}]
    assert (job["spec"]["backoffLimit"], pod["restartPolicy"]) == (0, "Never")  # only mixgrid starts a step anew
    assert pod["automountServiceAccountToken"] is False


def test_kubernetes_jobs_of_grids_ask_for_no_gpu() -> None:
    pod = rendered("cpu")["spec"]["template"]["spec"]
    assert pod["containers"][0]["resources"]["limits"] == {"memory": "8Gi"}
    assert "nodeSelector" not in pod


def test_compose_file_is_one_that_the_specification_knows() -> None:
    from compose_spec import PyCompose

    document = read("docker/compose.yaml")
    services = PyCompose.from_yaml(yaml.safe_dump(document)).service_names()
    assert sorted(services) == ["database", "grids", "server", "setup", "steps-cpu", "steps-gpu", "store"]
    for broken in ({"port": []}, {"depends_on": {"server": {"condition": "healthy"}}}, {"shm_size": []}):
        wrong = copy.deepcopy(document)
        wrong["services"]["grids"].update(broken)
        with pytest.raises(ValueError, match=r"services\.grids"):
            PyCompose.from_yaml(yaml.safe_dump(wrong))


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
