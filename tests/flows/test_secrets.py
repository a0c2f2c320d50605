"""Secrets stay in the environment: no record, artifact, log, cached file or Prefect parameter has one."""

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mixgrid.errors import InputError
from mixgrid.store import Store

pytestmark = pytest.mark.server
Mixgrid = Callable[..., "subprocess.CompletedProcess[str]"]
JUDGE_KEY = "sk-marked-judge-key-0123456789"


def holders(folder: Path, secret: str) -> list[str]:
    """Files below a folder with these bytes in them."""
    found = [path for path in folder.rglob("*") if path.is_file() and not path.is_socket()]
    return [str(path) for path in found if secret.encode() in path.read_bytes()]


def test_run_leaves_no_secret_anywhere(
    own_s3_server: Any, mixgrid: Mixgrid, server: str, prefect_home: Path, tiny: Path, tmp_path: Path
) -> None:
    secret = os.environ["AWS_SECRET_ACCESS_KEY"]
    tiny.write_text(
        tiny.read_text().replace("proportions: [1, 1/4]", "proportions: [1]").replace("[rq4, dmt]", "[dmt]")
    )
    done = mixgrid(
        "run",
        tiny,
        "--store",
        f"{own_s3_server.url}/x",
        "--workers",
        1,
        PREFECT_API_URL=server,
        OPENAI_API_KEY=JUDGE_KEY,
    )
    assert done.returncode == 0, done.stderr
    time.sleep(2)  # the server writes task runs down within seconds of the flow's end
    assert holders(tmp_path, '"kind": "score"')  # what follows looks where records lie
    assert holders(prefect_home, f"{own_s3_server.url}/x")  # and where parameters lie
    for marked in (secret, JUDGE_KEY):
        assert holders(tmp_path, marked) == []
        assert holders(prefect_home, marked) == []
        assert marked not in done.stdout + done.stderr


def test_run_whose_store_is_out_of_reach_tells_no_secret(own_s3_server: Any, mixgrid: Mixgrid, tiny: Path) -> None:
    own_s3_server.kill()
    done = mixgrid("plan", tiny, "--store", f"{own_s3_server.url}/x", MIXGRID_STORE_PATIENCE_S="0")
    assert done.returncode == 1
    assert "tried once; it never answered" in done.stderr
    assert os.environ["AWS_SECRET_ACCESS_KEY"] not in done.stderr


def test_store_address_with_credentials_is_refused_and_not_repeated(mixgrid: Mixgrid, tiny: Path) -> None:
    with pytest.raises(InputError, match="credentials do not belong into its address") as raised:
        Store("s3://KEY:VERYSECRET@bucket/x")
    assert "VERYSECRET" not in str(raised.value)
    done = mixgrid("plan", tiny, "--store", "s3://KEY:VERYSECRET@bucket/x")
    assert done.returncode == 2
    assert "VERYSECRET" not in done.stdout + done.stderr
