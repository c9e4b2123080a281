"""The recorder on the clock: writes what the others say to Parquet. It runs in the world's own process."""

from pathlib import Path
from typing import Any

import mosaik_api_v3

from feederloop.simulators.errors import InputError
from feederloop.simulators.recorder.layout import Layout, TableSpec, table_spec
from feederloop.simulators.recorder.observing import observer_of
from feederloop.simulators.recorder.tables import TableWriter, arrow_schema
from feederloop.simulators.timeseries import utc_seconds

META: dict[str, Any] = {
    "type": "time-based",
    "models": {"Table": {"public": True, "params": ["spec"], "attrs": [], "any_inputs": True}},
}


class RecorderSimulator(mosaik_api_v3.Simulator):
    """Keeps any number of tables, each of whatever is connected to it."""

    def __init__(self) -> None:
        super().__init__(META)
        self._tables: dict[str, tuple[TableSpec, Layout, TableWriter]] = {}

    def init(  # type: ignore[override]
        self,
        sid: str,
        time_resolution: float = 1.0,
        *,
        folder: str,
        start: str,
        step_s: int,
        flush_every_s: int = 7200,
    ) -> Any:
        """Set the recorder up.

        Args:
            sid: The simulator's id on the clock.
            time_resolution: Seconds per unit of time.
            folder: Where the tables go.
            start: Start of the run, ISO 8601 with offset.
            step_s: Physical step, s.
            flush_every_s: Simulated time after which rows are on disk at the latest, s.
        """
        self._folder = Path(folder)
        self._observer = observer_of(self._folder)
        self._start_ms = 1000 * utc_seconds(start)
        self._step_s, self._flush_every_s, self._flushed_s = step_s, flush_every_s, 0
        return self.meta

    def create(self, num: int, model: str, spec: dict[str, Any] | None = None) -> list[dict[str, Any]]:  # type: ignore[override]
        """Create a table named `spec["name"]`; see `TableSpec` for what a specification holds."""
        table = table_spec(spec or {})
        if num != 1 or table.name in self._tables:
            raise InputError("Every table is created by itself, and once.", key=f"table {table.name}")
        writer = TableWriter(self._folder, table.name, arrow_schema(table.all_columns))
        self._tables[table.name] = table, Layout(table, self._start_ms), writer
        return [{"eid": table.name, "type": model}]

    def step(self, time: int, inputs: dict[str, Any], max_advance: int) -> int:
        """Write the rows that are due."""
        written = {}
        for name, (spec, layout, writer) in self._tables.items():
            stamp_s = spec.stamp_s(time)
            if stamp_s is not None:
                written[name] = writer.append(layout.columns(stamp_s, inputs.get(name, {})))
        if self._observer is not None:
            self._observer(time, written)
        if time - self._flushed_s >= self._flush_every_s:
            for _, _, writer in self._tables.values():
                writer.flush()
            self._flushed_s = time
        return time + self._step_s

    def get_data(self, outputs: dict[str, list[str]]) -> dict[str, dict[str, Any]]:
        """Return nothing: the recorder only listens."""
        return {}

    def finalize(self) -> None:
        """Join each table into one file, every one of them even if one fails."""
        errors = []
        for _, _, writer in self._tables.values():
            try:
                writer.close()
            except OSError as error:
                errors.append(error)
        if errors:
            raise errors[0]


if __name__ == "__main__":
    mosaik_api_v3.start_simulation(RecorderSimulator(), "feederloop recorder")
