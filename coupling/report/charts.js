"use strict";
/* The charts of the whole feeder, each a function that returns an option of ECharts. */
(() => {
  const charts = (page.charts = {}), kit = page.kit, data = page.data, n = page.numbers;
  const PHASE = (phase) => ({ abc: "three-phase, worst", all: "all phases" })[phase] ?? `phase ${phase}`;

  /* Of every phase: lowest, median and highest voltage of its customers. */
  charts.voltage = () => {
    const { phases, limits_v: limits } = data.voltage;
    const names = Object.keys(phases);
    const all = names.flatMap((phase) => [...n(phases[phase].min), ...n(phases[phase].max)]).filter((value) => value !== null);
    const low = Math.floor(Math.min(limits[0], ...all) / 5) * 5 - 1, high = Math.ceil(Math.max(limits[1], ...all) / 5) * 5 + 1;
    return kit.panels({
      names, unit: "V", digits: 1, axis: { min: low, max: high }, title: (phase) => `${PHASE(phase)} · ${phases[phase].count} customers`,
      series: (phase, place) => {
        const colour = kit.colour[phase], [least, middle, most] = ["min", "median", "max"].map((key) => n(phases[phase][key]));
        const thin = { ...place, lineStyle: { width: 1, opacity: 0.65 } };
        return [
          ...kit.band(phase, page.steps, least, most, colour, { ...place, opacity: 0.2 }).map((one) => ({ ...one, hideData: true })),
          kit.line(`${PHASE(phase)}: highest`, page.steps, most, colour, thin),
          { ...kit.line(`${PHASE(phase)}: median`, page.steps, middle, colour, place), markLine: kit.limits(limits, "V") },
          kit.line(`${PHASE(phase)}: lowest`, page.steps, least, colour, thin),
        ];
      },
    });
  };

  const loading = (kind) => () => {
    const found = data.loading[kind];
    const series = ["a", "b", "c"].map((phase) => kit.line(`phase ${phase}`, page.steps, n(found[phase]), kit.colour[phase]));
    series[0].markLine = kit.limits([found.limit], "%");
    return kit.chart({ unit: "%", series, axis: { scale: false, min: 0, max: ({ max }) => Math.max(found.limit * 1.1, Math.ceil(max / 10) * 10), axisLabel: { showMaxLabel: false } } });
  };
  charts.loading_transformer = loading("transformer");
  charts.loading_line = loading("line");

  charts.unbalance = () => {
    const { limit, worst } = data.unbalance;
    const line = kit.line("worst bus", page.steps, n(worst), kit.colour.pink, { areaStyle: { opacity: 0.12 } });
    line.markLine = kit.limits([limit], "%");
    return kit.chart({ unit: "%", series: [line], axis: { scale: false, min: 0, max: ({ max }) => Math.max(limit * 1.1, max), axisLabel: { showMaxLabel: false } } });
  };

  charts.envelopes = () => {
    const names = Object.keys(data.envelopes), step = { step: "end" };
    return kit.panels({
      names, unit: "kW", digits: 1, axis: {}, title: (phase) => (phase === "all" ? "all prosumers" : PHASE(phase)),
      series: (phase, place) => {
        const found = data.envelopes[phase], word = phase === "all" ? "" : `${PHASE(phase)}: `;
        const low = n(found.import).map((value) => (value === null ? null : -value)), high = n(found.export);
        const edge = { ...step, ...place, lineStyle: { width: 1.5, type: [6, 4] } };
        return [
          ...kit.band(`room ${phase}`, page.steps, low, high, kit.colour.band, { ...step, ...place }).map((one) => ({ ...one, hideData: true })),
          kit.line(`${word}export limits`, page.steps, high, kit.colour.limit, edge),
          kit.line(`${word}use`, page.steps, n(found.used), kit.colour.net, { ...step, ...place }),
          kit.line(`${word}import limits`, page.steps, low, kit.colour.limit, edge),
        ];
      },
    });
  };

  const stacked = (name, packed, colour, stack) => packed && kit.line(name, page.steps, n(packed), colour,
    { stack, areaStyle: { opacity: 0.75 }, lineStyle: { width: 0 } });

  charts.feeder = () => {
    const found = data.feeder;
    const series = [
      stacked("PV", found.pv, kit.colour.pv, "up"),
      stacked("EVs giving back", found.discharging, kit.colour.discharging, "up"),
      stacked("households", found.household, kit.colour.household, "down"),
      stacked("EVs charging", found.charging, kit.colour.charging, "down"),
      found.pv_available && kit.line("PV available", page.steps, n(found.pv_available), kit.colour.pv, { lineStyle: { width: 1.5, type: [6, 4] } }),
      kit.line("balance", page.steps, n(found.net), kit.colour.net),
    ].filter(Boolean);
    return kit.chart({ unit: "kW", series, axis: { scale: false } });
  };

  charts.fleet_power = () => kit.chart({ unit: "kW", axis: { scale: false }, series: [
    stacked("giving back", data.fleet.discharging, kit.colour.discharging, "up"),
    stacked("charging", data.fleet.charging, kit.colour.charging, "down"),
  ] });

  charts.fleet_energy = () => {
    const series = [
      kit.line("energy stored", page.steps, n(data.fleet.stored), kit.colour.trade, { areaStyle: { opacity: 0.15 } }),
      kit.line("EVs plugged in", page.steps, n(data.fleet.plugged), kit.colour.pink, { yAxisIndex: 1, step: "end", lineStyle: { width: 1.5 } }),
    ];
    return kit.chart({ unit: "kWh", units: { "EVs plugged in": ["", 0] }, series, more: {
      grid: kit.grid({ right: 44 }),
      yAxis: [kit.valueAxis("kWh", { scale: false }), kit.valueAxis("", { scale: false, minInterval: 1, splitLine: { show: false } })],
    } });
  };

  charts.bills = () => {
    const found = data.bills, names = found.order.map((place) => data.prosumers[place].name);
    const parts = [["retail", "retail_money", "household"], ["local trade", "local_money", "trade"], ["network", "network_money", "charging"],
      ["imbalance", "imbalance_money", "pink"], ["breach", "breach_money", "limit"]];
    const series = parts.filter(([, key]) => found[key]).map(([name, key, colour]) => ({
      name, type: "bar", stack: "bill", animation: false, barCategoryGap: "20%", itemStyle: { color: kit.colour[colour] },
      data: found.order.map((place) => n(found[key])[place]),
    }));
    const total = found.order.map((place) => n(found.total)[place]);
    series.push({ name: "total", type: "line", lineStyle: { width: 0 }, symbol: "diamond", symbolSize: 7, showSymbol: true, animation: false,
      itemStyle: { color: kit.colour.net }, data: total });
    return {
      useUTC: true, animation: false, textStyle: kit.font, categories: names, grid: kit.grid({ bottom: 70 }),
      xAxis: { type: "category", data: names, axisLabel: { color: kit.soft, rotate: 60, hideOverlap: true }, axisTick: { show: false },
        axisLine: { lineStyle: { color: kit.rule }, onZero: false } },
      yAxis: kit.valueAxis("", { scale: false }), legend: kit.legend(series), series,
      tooltip: { ...kit.tooltip(() => ""), axisPointer: { type: "shadow" },
        formatter: (items) => kit.tip(items[0].name, items.map((item) => kit.tipRow(item.color, item.seriesName, page.say(item.value, "", 2)))) },
    };
  };
})();
