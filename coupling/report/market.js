"use strict";
/* The charts of the market: price, energy, and the merit order of an interval. */
(() => {
  const charts = page.charts, kit = page.kit, found = page.data.market, n = page.numbers;
  if (!found) return;

  charts.price = () => {
    const step = { step: "middle" }, price = [];
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
    const times = page.middles.slice(0, n(found.volume).length);
    const series = [kit.bars("traded", times, n(found.volume), kit.colour.volume, { barCategoryGap: "15%" })];
    if (found.offered_kwh) series.push(kit.line("offered", times, n(found.offered_kwh), kit.colour.pv, { step: "middle" }));
    if (found.wanted_kwh) series.push(kit.line("wanted", times, n(found.wanted_kwh), kit.colour.pink, { step: "middle" }));
    return { ofIntervals: true, ...kit.chart({ unit: "kWh", series, interval: true, axis: { scale: false } }) };
  };

  if (!found.orders) return;
  const interval_s = page.data.time.interval_s;
  const columns = { interval: n(found.orders.interval), ask: n(found.orders.ask), price: n(found.orders.price), kwh: n(found.orders.kwh) };
  const places = new Map(); // rows of each interval
  columns.interval.forEach((interval, i) => (places.get(interval) ?? places.set(interval, []).get(interval)).push(i));
  /* A side's orders as steps of price over energy, the best first. */
  const steps = (interval, ask) => {
    const side = (places.get(interval) ?? []).filter((i) => Boolean(columns.ask[i]) === ask)
      .sort((one, other) => (ask ? 1 : -1) * (columns.price[one] - columns.price[other]));
    let sum = 0;
    return side.flatMap((i) => {
      const from = sum;
      sum += columns.kwh[i];
      return [[+from.toFixed(4), columns.price[i]], [+sum.toFixed(4), columns.price[i]]];
    });
  };
  charts.merit = () => {
    const at = page.sliders.merit ?? found.first, volume = n(found.volume)[at], price = n(found.price)[at];
    const line = (name, ask, colour) => ({ name, type: "line", data: steps(at, ask), symbol: "none", animation: false, emphasis: { disabled: true },
      itemStyle: { color: colour }, lineStyle: { color: colour, width: 2.5 } });
    const series = [line("offered", true, kit.colour.a), line("wanted", false, kit.colour.c)];
    if (!series.some((one) => one.data.length)) return { empty: "There were no orders in this interval." };
    series.push({ name: "traded", type: "scatter", symbolSize: 12, animation: false, itemStyle: { color: kit.colour.net }, data: price === null ? [] : [[volume, price]] });
    if (found.retail) series[0].markLine = { silent: true, symbol: "none", animation: false, lineStyle: { color: kit.colour.limit, type: [6, 4], width: 1.5 },
      data: [["retail", n(found.retail)[at]], ["feed-in", n(found.feed_in)[at]]].filter(([, value]) => value !== null && value !== undefined).map(([name, yAxis]) => ({ yAxis,
        label: { formatter: `${name} ${yAxis}`, position: "insideEndTop", color: kit.colour.limit, fontSize: 11, textBorderWidth: 0 } })) };
    const most = Math.max(...series.flatMap((one) => one.data.map(([, y]) => y)), found.retail ? n(found.retail)[at] ?? 0 : 0);
    return {
      useUTC: true, animation: false, textStyle: kit.font, grid: kit.grid({ bottom: 44 }), legend: kit.legend(series), series,
      xAxis: { ...kit.valueAxis("kWh", { min: 0, scale: false }), nameLocation: "middle", nameGap: 26, nameTextStyle: { color: kit.soft }, splitLine: { show: false } },
      yAxis: kit.valueAxis("per kWh", { min: 0, max: +(most * 1.15).toPrecision(2), scale: false, axisLabel: { showMaxLabel: false } }),
      tooltip: { trigger: "item", confine: true, backgroundColor: kit.surface, borderColor: kit.rule, textStyle: { color: kit.text },
        formatter: ({ seriesName, value, color }) => kit.tip(seriesName, [kit.tipRow(color, "energy", page.say(value[0], "kWh")), kit.tipRow(color, "price", page.say(value[1], "per kWh", 4))]) },
    };
  };
  page.slider("merit", { count: n(found.volume).length, first: found.first, show: () => page.redraw("merit"), label: (at) => page.spanOf(at, interval_s) });
  page.downloads.merit = () => page.kit.rows([["interval_start", "side", "price_per_kwh", "kwh"],
    ...columns.interval.map((at, i) => [page.iso((page.data.time.start_s + at * interval_s) * 1000), columns.ask[i] ? "ask" : "bid", columns.price[i], columns.kwh[i]])]);
})();
