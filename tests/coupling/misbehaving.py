"""A small real simulator that goes wrong where and how it is told to; runs in process or as a program."""

import os
import signal
import sys
import time
import warnings
from pathlib import Path

import mosaik_api_v3

META = {
    "api_version": "3.0",
    "type": "time-based",
    "models": {"Thing": {"public": True, "params": [], "attrs": ["value", "input"]}},
}


class Thing(mosaik_api_v3.Simulator):
    def __init__(self):
        super().__init__(META)
        self.time = 0
        self.inputs = []

    def init(self, sid, time_resolution=1.0, *, step_s=10, fault=None, where="step", at=0, log=None):
        self.sid, self.step_s, self.fault, self.where, self.at, self.log = sid, step_s, fault, where, at, log
        self.misbehave("init")
        return self.meta

    def create(self, num, model):
        self.misbehave("create")
        return [{"eid": f"thing{i}", "type": model} for i in range(num)]

    def step(self, time, inputs, max_advance):
        self.time = time
        self.note(f"step {time} {inputs.get('thing0', {}).get('input')}")
        if self.misbehave("step") == "no next step":
            return time
        return time + self.step_s

    def get_data(self, outputs):
        if self.misbehave("get_data") == "not json":
            return {"thing0": {"value": object()}}
        return {eid: {"value": self.time} for eid in outputs}

    def finalize(self):
        self.note("finalize")
        self.misbehave("finalize")

    def note(self, text):
        if self.log:
            with Path(self.log).open("a") as file:
                file.write(f"{self.sid} {text}\n")

    def misbehave(self, where):
        if where != self.where or (where in ("step", "get_data") and self.time < self.at):
            return None
        if self.fault == "raise":
            print("about to raise", file=sys.stderr)
            raise ValueError("broken on purpose")
        if self.fault == "hang":
            time.sleep(30.0)
        if self.fault == "slow":
            time.sleep(0.4)
        if self.fault == "exit":
            sys.exit(3)
        if self.fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fault == "interrupt":
            os.kill(os.getpid(), signal.SIGINT)
            self.fault = None
        if self.fault == "warn":
            warnings.warn("take care", stacklevel=1)
        return self.fault


if __name__ == "__main__":
    sys.exit(mosaik_api_v3.start_simulation(Thing()))
