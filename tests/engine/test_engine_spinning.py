"""How long llama.cpp's threads look for work before they sleep, as OpenMP itself says it."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from local_retab.engine import SPINS


@pytest.mark.parametrize(
    ("environment", "spins"),
    [({}, SPINS), ({"GOMP_SPINCOUNT": "5"}, "5"), ({"OMP_WAIT_POLICY": "PASSIVE"}, "0")],
)
def test_what_openmp_reads(environment: dict[str, str], spins: str) -> None:
    others = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    ran = subprocess.run(
        [sys.executable, "-c", "import local_retab.engine.llama"],
        env={**others, "OMP_DISPLAY_ENV": "verbose", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    if "GOMP_SPINCOUNT" not in ran.stderr:
        pytest.skip("this llama.cpp is not built with GNU OpenMP")
    assert re.findall(r"GOMP_SPINCOUNT = '(\d+)'", ran.stderr) == [spins]
