"use strict";
/* Time and numbers of the page's data: local time of the scenario, unpacking. */
const page = { downloads: {} };

page.data = JSON.parse(document.getElementById("data").textContent);

(() => {
  const GAP = -32768;
  const time = page.data.time;
  const unpacked = new Map();

  /* Numbers of a packed series; of a row of it where there is one per prosumer. Gaps are null. */
  page.numbers = (packed, row, length) => {
    if (!packed) return null;
    if (!unpacked.has(packed)) {
      const bytes = Uint8Array.from(atob(packed.data), (character) => character.charCodeAt(0));
      const view = new DataView(bytes.buffer);
      unpacked.set(packed, Array.from({ length: bytes.length / 2 }, (_, i) => {
        const whole = view.getInt16(2 * i, true);
        return whole === GAP ? null : +(whole * packed.scale).toPrecision(8);
      }));
    }
    const all = unpacked.get(packed);
    return row === undefined ? all : all.slice(row * length, (row + 1) * length);
  };

  if (!time) return;
  const count = (s) => Math.floor((time.points * time.step_s) / s + 1e-9);
  page.intervals = Math.ceil((time.points * time.step_s) / time.interval_s - 1e-9);
  page.steps = Array.from({ length: time.points }, (_, i) => (time.start_s + i * time.step_s) * 1000);
  page.middles = Array.from({ length: Math.max(page.intervals, count(time.interval_s)) },
    (_, i) => (time.start_s + (i + 0.5) * time.interval_s) * 1000);

  const offset = (ms) => {
    let found = time.offsets[0][1];
    for (const [from, seconds] of time.offsets) if (from * 1000 <= ms) found = seconds;
    return found;
  };
  /* ECharts ticks by UTC: the axis is shifted by the offset at the start, labels say what the wall says. */
  const shift = time.offsets[0][1] * 1000;
  page.onAxis = (ms) => ms + shift;
  page.offAxis = (ms) => ms - shift;

  const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
  const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
  const two = (number) => String(number).padStart(2, "0");
  const wall = (ms) => new Date(ms + offset(ms) * 1000);
  page.clock = (ms) => `${two(wall(ms).getUTCHours())}:${two(wall(ms).getUTCMinutes())}`;
  page.day = (ms) => `${DAYS[wall(ms).getUTCDay()]} ${wall(ms).getUTCDate()} ${MONTHS[wall(ms).getUTCMonth()]}`;
  page.iso = (ms) => {
    const east = offset(ms), sign = east < 0 ? "-" : "+", minutes = Math.abs(east) / 60;
    return `${wall(ms).toISOString().slice(0, 19)}${sign}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
  };
  page.span = time.points * time.step_s * 1000;
})();

/* With so many digits after the point, without a minus before zero. */
page.fixed = (value, places) => (+value.toFixed(places) + 0).toFixed(places);

/* A number as people read it. */
page.say = (value, unit, digits) => {
  if (value === null || value === undefined) return "–";
  const places = digits ?? (Math.abs(value) >= 100 ? 1 : Math.abs(value) >= 10 ? 1 : 2);
  return `${page.fixed(value, places)}${unit ? ` ${unit}` : ""}`;
};
