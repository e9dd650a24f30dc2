"""The API keeps to the rules of `proto/buf.yaml`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BUF = Path(sys.executable).with_name("buf")
PROTO = Path(__file__).parents[2] / "proto"


def test_the_protos_are_lint_clean() -> None:
    linted = subprocess.run([BUF, "lint"], cwd=PROTO, capture_output=True, text=True, timeout=60)
    assert linted.returncode == 0, linted.stdout + linted.stderr
