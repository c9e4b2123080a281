"use strict";
/* The viewer's charts, each a function of what the server has told. */
const view = {};
view.charts = (() => {
  const known = (value) => value !== null && value !== undefined;
  const times = (told) => told.at.map((s) => 1000 * s);
  const minus = (values) => (values ?? []).map((value) => (known(value) ? -value : null));
  const step = { step: "end" };
  const edge = { ...step, lineStyle: { width: 1.5, type: [6, 4] } };
  const column = (told, name) => told[name] ?? told.at.map(() => null);
  const chart = (told, options) => page.kit.chart(options);
  const empty = (told, name) => !told?.at?.length || !column(told, name).some(known);

  const volts = (told, names, limits) => {
    if (empty(told, "v_max_v")) return null;
    const at = times(told), { kit } = page, [least, most] = [told.v_min_v, told.v_max_v];
    const high = { ...kit.line(names[0], at, most, kit.colour.a), markLine: kit.limits(limits, "V") };
    return chart(told, { unit: "V", series: [...kit.band("range", at, least, most, kit.colour.band), high, kit.line(names[1], at, least, kit.colour.c)],
      axis: { min: Math.floor(Math.min(limits[0], ...least.filter(known)) - 3), max: Math.ceil(Math.max(limits[1], ...most.filter(known)) + 3) } });
  };
  const envelope = (told) => {
    if (empty(told, "net_kw")) return null;
    const at = times(told), { kit } = page, low = minus(told.import_limit_kw), high = column(told, "export_limit_kw"), series = [];
    if (high.some(known)) series.push(...kit.band("room", at, low, high, kit.colour.band, step), kit.line("export limit", at, high, kit.colour.limit, edge));
    series.push(kit.line("use", at, told.net_kw, kit.colour.net, step));
    if (low.some(known)) series.push(kit.line("import limit", at, low, kit.colour.limit, edge));
    return chart(told, { unit: "kW", axis: { scale: false }, series });
  };
  const stacked = (name, at, values, colour, stack) => values?.some(known) && page.kit.line(name, at, values, colour, { stack, areaStyle: { opacity: 0.75 }, lineStyle: { width: 0 } });

  return {
    voltage: ({ feeder, limits }) => volts(feeder.points, ["highest", "lowest"], limits.voltage_v),
    envelopes: ({ feeder }) => envelope(feeder.points),
    loading: ({ loading, limits }) => {
      if (empty(loading, "line_percent")) return null;
      const at = times(loading), { kit } = page, line = kit.line("line", at, loading.line_percent, kit.colour.a);
      line.markLine = kit.limits([limits.line_percent], "%");
      const series = [line, kit.line("transformer", at, column(loading, "transformer_percent"), kit.colour.c)];
      return chart(loading, { unit: "%", series, axis: { scale: false, min: 0, max: ({ max }) => Math.max(limits.line_percent * 1.1, max), axisLabel: { showMaxLabel: false } } });
    },
    price: ({ feeder }) => empty(feeder.market, "price_per_kwh") ? null : chart(feeder.market, { unit: "per kWh", units: { "between peers": ["per kWh", 4] }, axis: { scale: false, min: 0 },
      series: [page.kit.line("between peers", times(feeder.market), feeder.market.price_per_kwh, page.kit.colour.c, { ...step, lineStyle: { width: 3 } })] }),
    power: ({ home }) => envelope(home.points),
    parts: ({ home }) => {
      const told = home.points;
      if (empty(told, "net_kw")) return null;
      const at = times(told), { kit } = page, ev = told.ev_kw ?? [];
      const series = [
        stacked("PV", at, told.pv_kw, kit.colour.pv, "up"),
        stacked("EV giving back", at, ev.map((kw) => (kw > 0 ? kw : known(kw) ? 0 : null)), kit.colour.discharging, "up"),
        stacked("household", at, told.household_kw, kit.colour.household, "down"),
        stacked("EV charging", at, ev.map((kw) => (kw < 0 ? kw : known(kw) ? 0 : null)), kit.colour.charging, "down"),
        told.pv_available_kw?.some(known) && kit.line("PV available", at, told.pv_available_kw, kit.colour.pv, { lineStyle: { width: 1.5, type: [6, 4] } }),
        kit.line("balance", at, told.net_kw, kit.colour.net),
      ].filter(Boolean);
      return chart(told, { unit: "kW", axis: { scale: false }, series });
    },
    volts: ({ home, limits }) => volts(home.points, ["highest", "lowest"], limits.voltage_v),
    soc: ({ home }) => empty(home.ev, "soc_kwh") ? null : chart(home.ev, { unit: "kWh", axis: { scale: false, min: 0 },
      series: [page.kit.line("stored", times(home.ev), home.ev.soc_kwh, page.kit.colour.trade, { areaStyle: { opacity: 0.15 } })] }),
  };
})();
