"""The API keeps to the rules of `buf.yaml`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BUF = Path(sys.executable).with_name("buf")
ROOT = Path(__file__).parents[2]


def test_the_protos_are_lint_clean() -> None:
    linted = subprocess.run([BUF, "lint"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert linted.returncode == 0, linted.stdout + linted.stderr
