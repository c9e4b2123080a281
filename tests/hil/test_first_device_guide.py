"""The guide to a first device: every command that it shows is typed, against a simulated device in its place."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from feederloop.hil.audit import read_audit
from feederloop.hil.bench import load_bench
from feederloop.hil.serving import BenchServer

GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "first-device.md"
COMMAND = str(Path(sys.executable).with_name("feederloop"))
DEVICE = "192.168.1.20"
# What would take an hour, or for ever: half an hour of the run in 18 s, two seconds of a capture, one reading.
SHORTER = {
    "--real-time": "--real-time --factor 100 --days 0.0208333333333 --set scheme=uncoordinated",
    "3600": "2",
    "bench.yaml:home_04/charger": "bench.yaml:home_04/charger --once",
}


def blocks(language: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return [str(block) for block in found]


@pytest.mark.slow
def test_every_command_of_the_guide_works(tmp_path):
    bench, file = blocks("yaml")[0], tmp_path / "bench.yaml"
    file.write_text(bench, encoding="utf-8")
    with BenchServer(load_bench(file)) as server:
        url = server.urls["home_04/charger"]
        bench = bench.replace(f"tcp://{DEVICE}:502", url)
        file.write_text(bench, encoding="utf-8")
        for block in blocks("sh"):
            if "&&" in block:  # the step that arms it
                file.write_text(bench + "".join(blocks("yaml")[1:]), encoding="utf-8")
            for line in block.replace(DEVICE, url.removeprefix("tcp://")).splitlines():
                for command in re.sub(r"\s+#.*", "", line).split(" && "):
                    words = [
                        part for word in shlex.split(command) for part in shlex.split(SHORTER.get(word, f'"{word}"'))
                    ]
                    done = subprocess.run(
                        [COMMAND, *words[1:]], cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False
                    )
                    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    captured = pd.read_parquet(tmp_path / "monday.parquet")
    assert "power_total" in set(captured["role"])
    first, second = sorted((tmp_path / "runs").iterdir())
    kinds = [{entry["kind"] for entry in read_audit(run / "bench" / "audit.jsonl")} for run in (first, second)]
    assert "write" not in kinds[0]
    assert {"armed", "write"} <= kinds[1]
    told = pd.read_parquet(second / "device_io.parquet")
    assert told["quality"].iloc[-1] == "good"
    assert (tmp_path / "bench.stop").exists()
