"use strict";
/* A device of a bench: what was asked of it, sent to it and measured. */
(() => {
  const found = page.data.devices, kit = page.kit;
  if (!found) return;
  page.charts.device = () => {
    const place = Number(document.getElementById("device").value), row = (key) => page.numbers(found[key], place, page.steps.length);
    const measured = kit.line("measured", page.steps, row("measured"), kit.colour.net, { step: "end" });
    const step = page.data.time.step_s * 1000, x = (ms) => ({ xAxis: page.onAxis(ms) });
    measured.markArea = { silent: true, itemStyle: { color: kit.colour.limit, opacity: 0.16 }, data: row("quality").flatMap((code, i) =>
      code > 0 ? [[x(page.steps[i]), x(page.steps[i] + step)]] : []) };
    return kit.chart({ unit: "kW", axis: { scale: false }, series: [
      kit.line("asked for", page.steps, row("asked"), kit.colour.a, { step: "end", lineStyle: { type: [6, 4] } }),
      kit.line("sent", page.steps, row("sent"), kit.colour.c, { step: "end", lineStyle: { width: 1.5, type: [2, 3] } }), measured] });
  };
})();
