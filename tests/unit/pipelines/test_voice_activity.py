"""The voice model's runtime keeps to itself."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_the_runtime_of_the_voice_model_leaves_no_telemetry_behind(tmp_path):
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    command = [sys.executable, "-c", "import server, onnxruntime"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, timeout=60)
    assert not [path for path in tmp_path.rglob("*onnxruntime*") if path.is_file()]
