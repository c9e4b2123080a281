"use strict";
/* What charts are built from: colours, axes, lines, bands, limits, tooltips, data to download. */
(() => {
  /* Okabe and Ito's palette, told apart with any colour vision. */
  const COLOURS = {
    light: { a: "#d55e00", b: "#009e73", c: "#0072b2", abc: "#8a6d00", all: "#17202a", pv: "#e69f00", household: "#7a8794", charging: "#0072b2",
      discharging: "#56b4e9", net: "#17202a", limit: "#a3195b", band: "#56b4e9", price: "#d55e00", volume: "#56b4e9",
      retail: "#7a8794", trade: "#009e73", pink: "#cc79a7" },
    dark: { a: "#ff8a3d", b: "#2fc79a", c: "#5aa9e6", abc: "#f0e442", all: "#e8edf2", pv: "#f0b429", household: "#8b98a5", charging: "#5aa9e6",
      discharging: "#8fd0f5", net: "#e8edf2", limit: "#ff8fc7", band: "#56b4e9", price: "#ff8a3d", volume: "#56b4e9",
      retail: "#9aa7b4", trade: "#2fc79a", pink: "#e39bc3" },
  };
  const kit = (page.kit = {});
  const FONT = { fontFamily: "system-ui, sans-serif" };
  kit.font = FONT;
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  kit.refresh = () => {
    const dark = document.documentElement.dataset.theme === "dark";
    kit.colour = dark ? COLOURS.dark : COLOURS.light;
    kit.text = css("--text");
    kit.soft = css("--soft");
    kit.rule = css("--line");
    kit.surface = css("--surface");
  };

  const points = (times, values) => times.map((ms, i) => [page.onAxis(ms), values[i] ?? null]);

  /* A line over time; what `extra` says comes on top. */
  kit.line = (name, times, values, colour, extra = {}) => ({
    name, type: "line", data: points(times, values), symbol: "none", showSymbol: false, animation: false,
    itemStyle: { color: colour }, emphasis: { disabled: true },
    ...extra, lineStyle: { width: 2, color: colour, ...(extra.lineStyle || {}) },
  });

  /* A shaded area between two lines, drawn as two stacked series of which the tooltip shows none. */
  kit.band = (id, times, low, high, colour, extra = {}) => {
    const common = { type: "line", showSymbol: false, silent: true, animation: false, stack: `band ${id}`, stackStrategy: "all",
      lineStyle: { width: 0 }, emphasis: { disabled: true }, tooltip: { show: false }, itemStyle: { color: colour }, ...extra };
    const width = high.map((value, i) => (value === null || low[i] === null ? null : value - low[i]));
    return [
      { ...common, name: `${id} low`, data: points(times, low) },
      { ...common, name: `${id} band`, data: points(times, width), areaStyle: { color: colour, opacity: extra.opacity ?? 0.18 } },
    ];
  };

  /* Limits that stand still, as dashed lines with their value. */
  kit.limits = (values, unit, word = "limit") => ({
    silent: true, symbol: "none", animation: false,
    lineStyle: { color: kit.colour.limit, type: [6, 4], width: 1.5 },
    data: values.map((value, i) => ({
      yAxis: value,
      label: { formatter: `${word} ${value} ${unit}`, position: i === 0 && values.length > 1 ? "insideStartBottom" : "insideStartTop",
        color: kit.colour.limit, fontSize: 11, textBorderWidth: 0 },
    })),
  });

  kit.bars = (name, times, values, colour, extra = {}) => ({
    name, type: "bar", data: points(times, values), itemStyle: { color: colour }, animation: false,
    emphasis: { disabled: true }, ...extra,
  });

  kit.timeAxis = (extra = {}) => ({
    type: "time", min: page.onAxis(page.steps[0]), max: page.onAxis(page.steps[0]) + page.span,
    axisLine: { lineStyle: { color: kit.rule } }, axisTick: { show: false }, splitLine: { show: false },
    axisLabel: { color: kit.soft, hideOverlap: true, formatter: (value) => {
      const ms = page.offAxis(value);
      return page.clock(ms) === "00:00" ? `{day|${page.day(ms)}}` : page.clock(ms);
    }, rich: { day: { fontWeight: 600, color: kit.soft } } },
    ...extra,
  });
  kit.valueAxis = (unit, extra = {}) => ({
    type: "value", scale: true, name: unit, nameGap: 10,
    nameTextStyle: { color: kit.soft, align: "right", padding: [0, 6, 0, 0] },
    splitLine: { lineStyle: { color: kit.rule, opacity: 0.7 } }, ...extra,
    axisLabel: { color: kit.soft, ...(extra.axisLabel || {}) },
  });

  const swatch = (colour) => {
    const mark = document.createElement("i");
    mark.style.background = colour;
    return mark;
  };
  const row = (colour, name, value) => {
    const line = document.createElement("div"), label = document.createElement("span"), number = document.createElement("span");
    label.textContent = name;
    number.textContent = value;
    line.append(swatch(colour), label, number);
    return line;
  };
  const tip = (title, rows) => {
    const box = document.createElement("div"), head = document.createElement("b");
    box.className = "tip";
    head.textContent = title;
    box.append(head, ...rows);
    return box;
  };
  kit.tip = tip;
  kit.tipRow = row;

  /* Text goes into elements as text: names in a scenario may be anything. */
  kit.tooltip = (unitOf, { interval = false } = {}) => ({
    trigger: "axis", confine: true, backgroundColor: kit.surface, borderColor: kit.rule, textStyle: { color: kit.text },
    axisPointer: { type: "line", lineStyle: { color: kit.soft, type: "solid", opacity: 0.5 } },
    formatter: (found) => {
      const seen = new Set();
      const shown = [...found].sort((one, other) => one.seriesIndex - other.seriesIndex).filter((item) => !/ (low|band)$/.test(item.seriesName) && !seen.has(item.seriesName)
        && seen.add(item.seriesName) && item.value[1] !== null && item.value[1] !== undefined);
      if (!shown.length) return "";
      const ms = page.offAxis(shown[0].value[0]), half = page.data.time.interval_s * 500;
      const title = interval ? `${page.day(ms - half)}, ${page.clock(ms - half)} – ${page.clock(ms + half)}` : `${page.day(ms)}, ${page.clock(ms)}`;
      return tip(title, shown.map((item) => {
        const [unit, digits] = [unitOf(item.seriesName)].flat();
        return row(item.color, item.seriesName, page.say(item.value[1], unit, digits));
      }));
    },
  });

  /* Lines are shown as lines, dashes included; areas and bars as a patch. */
  const entry = (one) => (one.type === "bar" || (one.areaStyle && one.lineStyle.width === 0) ? { name: one.name, icon: "roundRect" }
    : { name: one.name });
  kit.legend = (series, extra = {}) => ({
    data: series.filter((one) => !/ (low|band)$/.test(one.name)).map(entry), top: 0, right: 0, ...(innerWidth < 640 ? { left: 44 } : {}), itemWidth: 20, itemHeight: 8, itemGap: 14, textStyle: { color: kit.text, fontSize: 12, lineHeight: 18 },
    type: "scroll", pageIconColor: kit.soft, pageTextStyle: { color: kit.soft }, ...extra,
  });
  /* Wheel zooms only with Ctrl held, so that the page can be scrolled. */
  kit.zoom = (axes = [0]) => [{ type: "inside", xAxisIndex: axes, zoomOnMouseWheel: "ctrl", moveOnMouseWheel: false, preventDefaultMouseMove: false,
    filterMode: "none" }];
  kit.grid = (extra = {}) => ({ left: 48, right: 16, top: 40, bottom: 26, ...extra });

  /* A usual chart: one grid, time below, values at the left. */
  kit.chart = ({ unit, units, series, axis = {}, interval = false, more = {} }) => ({
    useUTC: true, animation: false, textStyle: FONT, aria: { enabled: false },
    grid: kit.grid(), xAxis: kit.timeAxis(), yAxis: kit.valueAxis(unit, axis),
    legend: kit.legend(series),
    tooltip: kit.tooltip((name) => (units && units[name]) || unit, { interval }), dataZoom: kit.zoom(), series,
    unitOf: (name) => [(units && units[name]) || unit].flat()[0], ...more,
  });

  /* Panels one below the other, on the same scale under one time axis; `series(name, place)` goes into each. */
  kit.panels = ({ names, title, series, unit, digits, axis }) => {
    const share = 100 / names.length, axes = names.map((_, i) => i), head = names.length > 1 ? 5 : 8;
    return {
      useUTC: true, animation: false, textStyle: kit.font, axisPointer: { link: [{ xAxisIndex: "all" }] },
      title: names.map((name, i) => ({ text: title(name), left: 46, top: `${i * share}%`, textStyle: { color: kit.colour[name], fontSize: 12, fontWeight: 600 } })),
      grid: names.map((_, i) => ({ left: 48, right: 16, top: `${i * share + head}%`, height: `${share - 2 * head}%` })),
      xAxis: axes.map((i) => kit.timeAxis({ gridIndex: i, axisLabel: { ...kit.timeAxis().axisLabel, show: i === names.length - 1 } })),
      yAxis: axes.map((i) => kit.valueAxis(i ? "" : unit, { gridIndex: i, splitNumber: 3, ...axis, axisLabel: { color: kit.soft, showMinLabel: false, showMaxLabel: false } })),
      unitOf: () => unit, tooltip: kit.tooltip(() => [unit, digits]), dataZoom: kit.zoom(axes),
      series: names.flatMap((name, i) => series(name, { xAxisIndex: i, yAxisIndex: i })),
    };
  };

  /* Text of a file of comma-separated values; what a spreadsheet would take for a formula is marked as text. */
  const cell = (value) => {
    const text = String(value ?? "");
    const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) && !/^-?[\d.]+$/.test(text) ? `'${text}` : text;
    return /[",\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  kit.rows = (rows) => rows.map((row) => row.map(cell).join(",")).join("\r\n");

  /* Columns of a download: what is drawn, by name, without what only shades. */
  kit.csv = (option) => {
    const series = option.series.filter((one) => !/ band$/.test(one.name) && one.data.length && !one.hideData);
    if (option.categories) {
      return kit.rows([["name", ...series.map((one) => one.name)], ...option.categories.map((name, i) => [name, ...series.map((one) => one.data[i])])]);
    }
    const half = option.ofIntervals ? page.data.time.interval_s * 500 : 0;
    const rows = new Map();
    series.forEach((one, at) => one.data.forEach(([x, y]) => {
      if (!rows.has(x)) rows.set(x, new Array(series.length).fill(null));
      rows.get(x)[at] = y;
    }));
    const head = ["time", ...series.map((one) => option.unitOf && option.unitOf(one.name) ? `${one.name} (${option.unitOf(one.name)})` : one.name)];
    return kit.rows([head, ...[...rows].sort(([x], [y]) => x - y).map(([x, values]) => [page.iso(page.offAxis(x) - half), ...values])]);
  };
})();
