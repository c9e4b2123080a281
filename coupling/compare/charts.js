"use strict";
/* The charts of a comparison: a bar per scheme and harm, a dot per prosumer, energy forgone. */
(() => {
  const charts = (page.charts = {}), kit = page.kit, data = page.data;
  const narrow = () => innerWidth < 640;
  const schemes = (extra = {}) => ({
    type: "category", data: data.schemes, inverse: true, axisTick: { show: false }, axisLine: { lineStyle: { color: kit.rule } },
    axisLabel: { color: kit.text, interval: 0, width: narrow() ? 96 : 124, overflow: "truncate", fontSize: narrow() ? 11 : 12 }, ...extra,
  });
  const room = (extra = {}) => ({ left: narrow() ? 104 : 134, right: 24, top: 18, bottom: 26, ...extra });
  const box = () => ({ confine: true, backgroundColor: kit.surface, borderColor: kit.rule, textStyle: { color: kit.text } });
  const common = () => ({ animation: false, textStyle: kit.font, categories: data.schemes });

  /* Whiskers: this build of the library has no shape of its own for them. */
  const whiskers = (found, low) => found.values.flatMap((value, i) => {
    const half = found.half_widths[i];
    if (value === null || !half) return [];
    return [[{ coord: [Math.max(value - half, low), i] }, { coord: [value + half, i] }]];
  });
  const limits = (found, low, high) => found.limits.filter((value) => value >= low && value <= high).map((value) => ({
    xAxis: value, symbol: "none", lineStyle: { color: kit.colour.limit, type: [6, 4], width: 1.5 },
    label: { formatter: `limit ${+value.toPrecision(6)}`, position: "start", color: kit.colour.limit, fontSize: 11, textBorderWidth: 0 },
  }));

  const panel = (key) => () => {
    const found = data.panels[key];
    const reach = found.values.flatMap((value, i) => value === null ? [] : [value - (found.half_widths[i] ?? 0), value + (found.half_widths[i] ?? 0)]);
    const all = [...reach, ...found.limits], volts = found.unit === "V";
    const spread = Math.max(...all) - Math.min(...all);
    const low = volts ? Math.floor(Math.min(...all) - 0.1 * spread) : found.values.some((value) => value < 0) ? Math.floor(Math.min(...all)) : 0, most = Math.max(...all);
    const high = volts ? Math.ceil(most + 0.05 * spread) : most > 0 ? most * 1.08 : 1;
    /* A scale that does not begin at zero shows positions and not lengths. */
    const shape = volts ? { type: "scatter", symbolSize: 13 } : { type: "bar", barMaxWidth: 18 };
    const colour = (i) => found.broken[i] ? kit.colour.a : kit.colour.c;
    return {
      ...common(), grid: room(), yAxis: schemes(),
      xAxis: kit.valueAxis("", { min: low, max: high, splitNumber: 4, axisLabel: { color: kit.soft, hideOverlap: true, showMaxLabel: false } }),
      tooltip: { ...box(), trigger: "axis", axisPointer: { type: "shadow" }, formatter: ([item]) => {
        const i = item.dataIndex, half = found.half_widths[i];
        const shown = found.values[i] === null ? "–" : `${page.say(found.values[i], found.unit)}${half === null ? "" : ` ± ${page.say(half, "")}`}`;
        return kit.tip(data.schemes[i], [kit.tipRow(colour(i), found.broken[i] ? "breaks the limit" : "mean over seeds", shown)]);
      } },
      series: [{
        ...shape, name: found.unit || "value", data: found.values,
        itemStyle: { color: ({ dataIndex }) => colour(dataIndex) },
        markLine: { silent: true, symbol: ["none", "none"], animation: false, label: { show: true },
          lineStyle: { color: kit.text, type: "solid", width: 1.5 },
          data: [...whiskers(found, low).map(([from, to]) => [{ ...from, symbol: "rect", symbolSize: [9, 1.5], label: { show: false } }, { ...to, symbol: "rect", symbolSize: [9, 1.5] }]),
            ...limits(found, low, high)] },
      }, {
        type: "scatter", name: "nothing to see", silent: true, symbolSize: 1, itemStyle: { color: "transparent" }, data: found.values.map((_, i) => [low, i]),
        label: { show: true, position: "right", color: kit.soft, fontSize: 11, formatter: ({ dataIndex: i }) => found.values[i] === null ? "–" : volts || found.values[i] ? "" : "0" },
      }],
    };
  };
  Object.keys(data.panels).forEach((key) => { charts[key] = panel(key); });

  /* A dot per prosumer and a row per scheme; dots that would cover each other move apart, always alike. */
  const strip = (names, values, empty, said, unit, places) => {
    if (!values.some((row) => row.length)) return { empty };
    const dots = values.flatMap((row, i) => row.map((value, at) => [value, i + 0.5 * (((at * 0.618034) % 1) - 0.5)]));
    const median = (row) => row.length % 2 ? row[(row.length - 1) / 2] : (row[row.length / 2 - 1] + row[row.length / 2]) / 2;
    const bars = values.flatMap((row, i) => row.length ? [[{ coord: [median(row), i - 0.34] }, { coord: [median(row), i + 0.34] }]] : []);
    const zero = dots.some(([value]) => value < 0) ? [[{ coord: [0, -0.5], lineStyle: { color: kit.text, width: 1 } }, { coord: [0, names.length - 0.5] }]] : [];
    return {
      ...common(), grid: room(), xAxis: kit.valueAxis("", { scale: false, splitNumber: narrow() ? 4 : 8, axisLine: { show: false, onZero: false } }),
      yAxis: { type: "value", inverse: true, min: -0.5, max: names.length - 0.5, interval: 1, splitLine: { show: false }, axisTick: { show: false },
        axisLine: { show: true, onZero: false, lineStyle: { color: kit.rule } }, axisLabel: { show: false } },
      tooltip: { ...box(), trigger: "item", formatter: ({ value, color }) => kit.tip(names[Math.round(value[1])], [kit.tipRow(color, said, page.say(value[0], unit, places))]) },
      series: [
        { type: "scatter", name: "prosumer", data: dots, symbolSize: narrow() ? 5 : 7, itemStyle: { color: kit.colour.c, opacity: 0.6 },
          markLine: { silent: true, symbol: ["none", "none"], animation: false, label: { show: false }, lineStyle: { color: kit.colour.a, width: 4, type: "solid" }, data: [...zero, ...bars] } },
        { type: "scatter", name: "scheme", symbolSize: 0, silent: true, tooltip: { show: false }, data: names.map((_, i) => [0, i]),
          markPoint: { silent: true, symbolSize: 0, data: names.map((name, i) => ({ x: narrow() ? 100 : 130, yAxis: i, coord: undefined, name,
            label: { show: true, formatter: name, color: kit.text, position: "left", align: "right", fontSize: narrow() ? 11 : 12, width: narrow() ? 96 : 124, overflow: "truncate" } })) } },
      ],
    };
  };
  charts.cost = () => strip(data.schemes, data.cost, "Nothing was settled.", "cost per day", "", 2);
  charts.gain = () => strip(data.gain.names, data.gain.values, "There is nothing to compare.", "dearer per day by", "", 2);
  charts.refused = () => strip(data.refused.names, data.refused.values, "Nobody was asked about.", "refused", "%", 1);

  const dots = (names, values, said) => () => kit.rows([["scheme", said], ...values.flatMap((row, i) => row.map((value) => [names[i], value]))]);
  page.downloads.cost = dots(data.schemes, data.cost, "cost_per_day");
  page.downloads.gain = dots(data.gain.names, data.gain.values, "dearer_per_day");
  page.downloads.refused = dots(data.refused.names, data.refused.values, "refused_percent");

  charts.forgone = () => {
    const colours = { "PV curtailed": kit.colour.pv, "EV energy not served": kit.colour.c, "trades refused": kit.colour.pink };
    const series = Object.entries(data.forgone).filter(([, values]) => values.some((value) => value !== null))
      .map(([name, values]) => ({ name, type: "bar", stack: "forgone", barMaxWidth: 24, data: values, itemStyle: { color: colours[name] } }));
    if (!series.length) return { empty: "Nothing was forgone." };
    return {
      ...common(), grid: room({ top: 34 }), legend: { ...kit.legend([]), data: series.map((one) => one.name) }, yAxis: schemes(),
      xAxis: kit.valueAxis("", { scale: false, min: 0 }), series,
      tooltip: { ...box(), trigger: "axis", axisPointer: { type: "shadow" },
        formatter: (items) => kit.tip(items[0].name, items.map((item) => kit.tipRow(item.color, item.seriesName, page.say(item.value, "kWh")))) },
    };
  };
})();
