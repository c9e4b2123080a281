"use strict";
/* The charts of the whole feeder, each a function that returns an option of ECharts. */
(() => {
  const charts = (page.charts = {}), kit = page.kit, data = page.data, n = page.numbers;
  const PHASE = (phase) => ({ abc: "three-phase, worst", all: "all phases" })[phase] ?? `phase ${phase}`;

  /* One panel per phase on the same scale, under one time axis. */
  charts.voltage = () => {
    const { phases, limits_v: limits } = data.voltage;
    const names = Object.keys(phases), share = 100 / names.length;
    const all = names.flatMap((phase) => [...n(phases[phase].min), ...n(phases[phase].max)]).filter((value) => value !== null);
    const low = Math.floor(Math.min(limits[0], ...all) / 5) * 5 - 1, high = Math.ceil(Math.max(limits[1], ...all) / 5) * 5 + 1;
    const series = names.flatMap((phase, i) => {
      const colour = kit.colour[phase], place = { xAxisIndex: i, yAxisIndex: i };
      const [least, middle, most] = ["min", "median", "max"].map((key) => n(phases[phase][key]));
      const thin = { ...place, lineStyle: { width: 1, opacity: 0.65 } };
      return [
        ...kit.band(`${phase}`, page.steps, least, most, colour, { ...place, opacity: 0.2 }).map((one) => ({ ...one, hideData: true })),
        kit.line(`${PHASE(phase)}: highest`, page.steps, most, colour, thin),
        { ...kit.line(`${PHASE(phase)}: median`, page.steps, middle, colour, place), markLine: kit.limits(limits, "V") },
        kit.line(`${PHASE(phase)}: lowest`, page.steps, least, colour, thin),
      ];
    });
    const axes = names.map((_, i) => i);
    return {
      useUTC: true, animation: false, textStyle: kit.font, axisPointer: { link: [{ xAxisIndex: "all" }] },
      title: names.map((phase, i) => ({ text: `${PHASE(phase)} · ${phases[phase].count} customers`, left: 46, top: `${i * share}%`,
        textStyle: { color: kit.colour[phase], fontSize: 12, fontWeight: 600 } })),
      grid: names.map((_, i) => ({ left: 48, right: 16, top: `${i * share + 5}%`, height: `${share - 10}%` })),
      xAxis: axes.map((i) => kit.timeAxis({ gridIndex: i, axisLabel: { ...kit.timeAxis().axisLabel, show: i === names.length - 1 } })),
      yAxis: axes.map((i) => kit.valueAxis(i ? "" : "V", { gridIndex: i, min: low, max: high, splitNumber: 3,
        axisLabel: { color: kit.soft, showMinLabel: false, showMaxLabel: false } })),
      unitOf: () => "V", tooltip: kit.tooltip(() => ["V", 1]), dataZoom: kit.zoom(axes), series,
    };
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
    const found = data.envelopes, step = { step: "end" };
    const low = n(found.import).map((value) => (value === null ? null : -value)), high = n(found.export);
    const edge = { ...step, lineStyle: { width: 1.5, type: [6, 4] } };
    return kit.chart({ unit: "kW", series: [
      ...kit.band("room", page.steps, low, high, kit.colour.band, step).map((one) => ({ ...one, hideData: true })),
      kit.line("export limits", page.steps, high, kit.colour.limit, edge),
      kit.line("use", page.steps, n(found.used), kit.colour.net, step),
      kit.line("import limits", page.steps, low, kit.colour.limit, edge),
    ] });
  };

  charts.price = () => {
    const found = data.market, step = { step: "middle" }, price = [];
    const times = page.middles.slice(0, n(found.price).length);
    if (found.retail) {
      const [retail, feedIn] = [n(found.retail), n(found.feed_in)];
      const edge = { ...step, lineStyle: { width: 1.5, type: [6, 4] } };
      price.push(...kit.band("room", times, feedIn, retail, kit.colour.retail, { ...step, opacity: 0.1 }).map((one) => ({ ...one, hideData: true })),
        kit.line("retail", times, retail, kit.colour.limit, edge), kit.line("feed-in", times, feedIn, kit.colour.trade, edge));
    }
    price.push(kit.line("between peers", times, n(found.price), kit.colour.c, { ...step, symbol: "emptyCircle", showSymbol: true, symbolSize: 5, lineStyle: { width: 3 } }));
    return { ofIntervals: true, ...kit.chart({ unit: "per kWh", units: Object.fromEntries(price.map((one) => [one.name, ["per kWh", 4]])), series: price,
      interval: true, axis: { scale: false, min: 0 } }) };
  };

  charts.volume = () => {
    const found = data.market, times = page.middles.slice(0, n(found.volume).length);
    const series = [kit.bars("traded", times, n(found.volume), kit.colour.volume, { barCategoryGap: "15%" })];
    if (found.offered_kwh) series.push(kit.line("offered", times, n(found.offered_kwh), kit.colour.pv, { step: "middle" }));
    if (found.wanted_kwh) series.push(kit.line("wanted", times, n(found.wanted_kwh), kit.colour.pink, { step: "middle" }));
    return { ofIntervals: true, ...kit.chart({ unit: "kWh", series, interval: true, axis: { scale: false } }) };
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
