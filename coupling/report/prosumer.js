"use strict";
/* The charts and the bill of the prosumer that is chosen. */
(() => {
  const charts = page.charts, kit = page.kit, data = page.data, own = data.prosumer;
  if (!own) return;
  page.chosen = own.first;
  const points = page.steps.length;
  const intervals = own.meter_kwh ? page.numbers(own.meter_kwh).length / data.prosumers.length : 0;
  const step = (key) => (own[key] ? page.numbers(own[key], page.chosen, points) : null);
  const interval = (key) => (own[key] ? page.numbers(own[key], page.chosen, intervals) : null);
  const known = (values) => values !== null && values.some((value) => value !== null);
  const negative = (values) => values.map((value) => (value === null ? null : -value));

  charts.p_envelope = () => {
    const [power, high, low] = [step("p_kw"), step("export_limit_kw"), step("import_limit_kw")], hold = { step: "end" }, series = [];
    const use = kit.line("use", page.steps, power, kit.colour.net, hold);
    if (known(high) && known(low)) {
      const edge = { ...hold, lineStyle: { width: 1.5, type: [6, 4] } };
      series.push(...kit.band("envelope", page.steps, negative(low), high, kit.colour.band, hold).map((one) => ({ ...one, hideData: true })),
        kit.line("export limit", page.steps, high, kit.colour.limit, edge), kit.line("import limit", page.steps, negative(low), kit.colour.limit, edge));
      const width = data.time.interval_s * 500;
      use.markArea = { silent: true, itemStyle: { color: kit.colour.limit, opacity: 0.16 }, data: (interval("breach_kwh") || []).flatMap((kwh, i) =>
        kwh > 0 ? [[{ xAxis: page.onAxis(page.middles[i] - width) }, { xAxis: page.onAxis(page.middles[i] + width) }]] : []) };
    }
    return kit.chart({ unit: "kW", series: [...series, use], axis: { scale: false } });
  };

  charts.p_devices = () => {
    const [home, pv, available, car] = [step("household_p_kw"), step("pv_p_kw"), step("pv_available_kw"), step("ev_p_kw")], series = [];
    if (known(home)) series.push(kit.line("household", page.steps, home, kit.colour.household, { areaStyle: { opacity: 0.25 } }));
    if (known(available)) series.push(kit.line("PV available", page.steps, available, kit.colour.pv, { lineStyle: { width: 1.5, type: [6, 4] } }));
    if (known(pv)) series.push(kit.line("PV", page.steps, pv, kit.colour.pv, { areaStyle: { opacity: 0.25 } }));
    if (known(car)) series.push(kit.line("EV", page.steps, car, kit.colour.charging, { areaStyle: { opacity: 0.25 } }));
    return kit.chart({ unit: "kW", series, axis: { scale: false } });
  };

  charts.p_voltage = () => {
    const phase = data.prosumers[page.chosen].phase ?? "all", limits = data.voltage.limits_v, band = data.voltage.phases[phase];
    const colour = kit.colour[phase];
    const line = kit.line(phase === "all" ? "here" : `here (phase ${phase})`, page.steps, step("v_v"), colour);
    line.markLine = kit.limits(limits, "V");
    const others = band ? kit.band("others", page.steps, page.numbers(band.min), page.numbers(band.max), colour, { opacity: 0.12 }) : [];
    return kit.chart({ unit: "V", units: { [line.name]: ["V", 1] }, series: [...others.map((one) => ({ ...one, hideData: true })), line],
      axis: { min: ({ min }) => Math.min(limits[0] - 2, Math.floor(min)), max: ({ max }) => Math.max(limits[1] + 2, Math.ceil(max)),
        axisLabel: { showMinLabel: false, showMaxLabel: false } } });
  };

  charts.p_soc = () => {
    const capacity = data.prosumers[page.chosen].ev_capacity_kwh;
    if (!capacity) return { empty: "This prosumer has no EV." };
    const line = kit.line("stored", page.steps, step("soc_kwh"), kit.colour.trade, { areaStyle: { opacity: 0.2 } });
    line.markLine = kit.limits([+capacity.toFixed(1)], "kWh", "capacity");
    const sessions = own.sessions.filter(([place]) => place === page.chosen);
    const need = { name: "needed on leaving", type: "scatter", symbol: "triangle", symbolSize: 11, animation: false, itemStyle: { color: kit.colour.pink },
      data: sessions.map(([, , departure, required]) => [page.onAxis(departure * 1000), required]) };
    return kit.chart({ unit: "kWh", series: sessions.length ? [line, need] : [line], axis: { scale: false, min: 0, max: Math.ceil(capacity * 1.12), axisLabel: { showMaxLabel: false } } });
  };

  charts.p_trades = () => {
    const traded = interval("traded_kwh"), times = page.middles.slice(0, intervals);
    if (traded === null) return { empty: "Nothing was settled yet." };
    const sold = traded.map((kwh) => (kwh > 0 ? kwh : null)), bought = traded.map((kwh) => (kwh < 0 ? kwh : null));
    const meter = kit.line("meter", times, interval("meter_kwh"), kit.colour.net, { step: "middle", lineStyle: { width: 1.5 } });
    return { ofIntervals: true, ...kit.chart({ unit: "kWh", interval: true, axis: { scale: false }, series: [
      kit.bars("sold to peers", times, sold, kit.colour.trade, { stack: "trade", barCategoryGap: "15%" }),
      kit.bars("bought from peers", times, bought, kit.colour.charging, { stack: "trade", barCategoryGap: "15%" }), meter] }) };
  };

  const PARTS = ["Local trade", "Retail", "Network", "Imbalance", "Breach", "Bill"], ENERGIES = ["Exported kWh", "Imported kWh", "Sold to peers kWh", "Bought from peers kWh"];
  const days = () => own.statements.filter(([place]) => place === page.chosen).map(([, ...day]) => day);
  const summed = (rows) => rows.length ? rows[0].map((_, i) => rows.reduce((total, row) => total + row[i], 0)) : [];
  const money = (cents) => (cents / 100).toFixed(2);
  const shown = (label, numbers) => [label, ...numbers.map((number, i) => (i < ENERGIES.length ? number.toFixed(2) : money(number)))];
  const statement = () => {
    const rows = days();
    return rows.length ? [["Day", ...ENERGIES, ...PARTS], ...rows.map(([date, ...numbers]) => shown(date, numbers)),
      shown("All", summed(rows.map(([, ...numbers]) => numbers)))] : [];
  };
  page.downloads.statement = () => kit.rows(statement());
  const row = (cells, kind) => {
    const made = document.createElement("tr");
    made.append(...cells.map((text, i) => {
      const cell = document.createElement(kind === "th" || i === 0 ? "th" : "td");
      if (cell.tagName === "TH") cell.scope = kind === "th" ? "col" : "row";
      cell.className = i ? "number" : "";
      cell.textContent = text;
      return cell;
    }));
    return made;
  };
  const showStatement = () => {
    const [head, ...rows] = statement();
    document.getElementById("statement-box").hidden = !head;
    document.getElementById("statement").replaceChildren(...(head ? [row(head, "th"), ...rows.map((cells) => row(cells, "td"))] : []));
    const totals = head ? rows.at(-1).slice(1 + ENERGIES.length) : [];
    document.getElementById("bill").replaceChildren(...totals.map((amount, i) => {
      const box = document.createElement("div"), term = document.createElement("dt"), value = document.createElement("dd");
      term.textContent = PARTS[i];
      value.textContent = `${i === PARTS.length - 1 ? "= " : i ? "+ " : ""}${amount}`;
      box.append(term, value);
      return box;
    }));
  };

  page.showProsumer = () => {
    const who = data.prosumers[page.chosen];
    const has = [who.phase && `phase ${who.phase}`, who.bus != null && `bus ${who.bus}`, who.pv_kwp > 0 && `PV ${who.pv_kwp.toFixed(1)} kWp`,
      who.ev_capacity_kwh > 0 && `EV ${who.ev_capacity_kwh.toFixed(0)} kWh${who.ev_discharge_kw > 0 ? " with V2G" : ""}`];
    document.getElementById("prosumer-facts").textContent = has.filter(Boolean).join(" · ");
    document.getElementById("prosumer").value = String(page.chosen);
    showStatement();
  };
})();
