"use strict";
/* What the page shows: status, cards, map, charts, homes, devices, audit log. Names go into elements as text. */
const live = {};
live.panels = (() => {
  const GAP = -32768, CALM_MS = 450;
  const by = (id) => document.getElementById(id);
  const make = (tag, text, className) => {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    return made;
  };
  const numbers = (packed) => {
    if (!packed) return [];
    const bytes = Uint8Array.from(atob(packed.data), (character) => character.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    return Array.from({ length: bytes.length / 2 }, (_, i) => {
      const whole = view.getInt16(2 * i, true);
      return whole === GAP ? null : whole * packed.scale;
    });
  };
  const fixed = (value, digits = 2) => (value === null || value === undefined ? "–" : value.toFixed(digits));
  const known = (value) => value !== null && value !== undefined;

  let greeting, frame, homes, curves = {}, map = null, scales, chosen = 0, calmAt = 0, drawn = new Map(), rows = [];

  /* --- words --- */
  const notice = (kind, head, text) => {
    const box = by("notice");
    box.hidden = !head;
    box.className = `banner ${kind}`;
    box.replaceChildren(make("strong", head), make("p", text));
  };
  const status = (kind, word) => {
    const pill = by("status");
    if (pill.textContent === word) return;
    pill.className = `pill ${kind}`;
    pill.textContent = word;
    document.title = `${word} · ${greeting?.title ?? "feederloop live"}`;
  };
  const words = () => {
    const ms = greeting.page.time && known(frame.time_s) ? (page.data.time.start_s + frame.time_s) * 1000 : null;
    by("clock").textContent = ms === null ? (frame.status === "running" ? "preparing the first step" : "") : `${page.day(ms)}, ${page.clock(ms)}`;
    const share = known(frame.time_s) ? Math.min(frame.time_s * 1000 / page.span, 1) : 0;
    const pace = known(frame.step_wall_s) ? `, a step in ${frame.step_wall_s < 1 ? `${(1000 * frame.step_wall_s).toFixed(0)} ms` : `${frame.step_wall_s.toFixed(1)} s`}` : "";
    by("progress").textContent = `${(100 * share).toFixed(0)} %${frame.status === "running" ? pace : ""}`;
    const ended = { complete: ["Run complete", `The results are in ${greeting.folder}.`], failed: ["This run failed", frame.message], interrupted: ["This run was interrupted", frame.message] }[frame.status];
    if (frame.stopped) {
      status("stopped", "emergency stop");
      notice("failed", "Emergency stop", `Cause: ${frame.stopped}. Devices are in their safe state and stay there; release it with: feederloop hil stop BENCH --release`);
    } else if (ended) {
      status(frame.status, frame.status);
      notice(frame.status, ...ended);
    } else if (frame.paused) {
      status("paused", "paused");
      notice("paused", "The clock stands still", frame.devices ? "Devices are kept alive; set-points that expire give way to the default envelope." : "What was under way has been finished.");
    } else {
      status(frame.status, frame.status);
      notice("", "", "");
    }
  };

  /* --- cards --- */
  const card = (label, value, note, verdict = "") => {
    const box = make("div", undefined, `card ${verdict}`);
    box.append(make("span", label, "label"), make("span", value, "value"), make("span", note, "note"));
    if (verdict) box.append(make("span", { kept: "✓ kept", near: "! near the limit", violated: "✗ violated" }[verdict], `verdict ${verdict}`));
    return box;
  };
  const now = (name) => curves[name]?.at(-1) ?? null;
  const judge = (value, limit) => (!known(value) ? "" : value > limit ? "violated" : value > 0.9 * limit ? "near" : "kept");
  const cards = () => {
    const { voltage_v: [low, high], line_percent: line, transformer_percent: transformer } = greeting.limits;
    const [least, most] = [now("v_min_v"), now("v_max_v")], source = now("source_kw"), uses = homes.use.filter(known);
    const volts = !known(least) ? "" : least < low || most > high ? "violated" : Math.min(least - low, high - most) < 1 ? "near" : "kept";
    const top = uses.length ? Math.max(...uses) : null;
    by("cards").replaceChildren(
      card("Voltage", known(least) ? `${fixed(least, 1)}–${fixed(most, 1)} V` : "–", `limits ${low} to ${high} V`, volts),
      card("Line loading", `${fixed(now("line_percent"), 0)} %`, `most loaded phase, limit ${line} %`, judge(now("line_percent"), line)),
      card("Transformer", `${fixed(now("transformer_percent"), 0)} %`, `most loaded phase, limit ${transformer} %`, judge(now("transformer_percent"), transformer)),
      card("From the grid", `${fixed(source, 1)} kW`, known(source) && source < 0 ? "the feeder exports" : "the feeder imports"),
      card("Local price", fixed(now("price_per_kwh"), 3), `per kWh, ${fixed(now("volume_kwh"), 1)} kWh traded`),
      ...(known(top) ? [card("Envelopes", `${fixed(100 * top, 0)} %`, `highest use, ${greeting.page.prosumers[homes.use.indexOf(top)].name}`, top > 1.001 ? "violated" : "kept")] : []),
      ...(known(now("late_s")) ? [card("Clock", `${fixed(1000 * now("late_s"), 1)} ms`, "late on the wall")] : []),
    );
  };

  /* --- map --- */
  const farthest = (volts) => {
    let found = null;
    for (const value of volts) if (known(value) && (found === null || Math.abs(value - 230) > Math.abs(found - 230))) found = value;
    return found;
  };
  const mapValues = () => {
    const kind = by("colour").value, phase = by("phase").value;
    by("phase-choice").hidden = kind !== "voltage";
    if (kind === "loading") return { branches: numbers(frame.branches), scale: scales.loading };
    if (kind === "use") return { points: homes.use.map((use) => (known(use) ? 100 * use : null)), scale: scales.use };
    const phases = ["a", "b", "c"].map((name) => numbers(frame.buses[name]));
    const low = (value) => (known(value) && value < 1000 ? value : null); // volts on the other side of the transformer would only mislead
    const buses = greeting.map.buses.name.map((_, i) => low(phase === "worst" ? farthest(phases.map((volts) => volts[i])) : phases["abc".indexOf(phase)][i]));
    const points = homes.v_v.map((volts, i) => (phase === "worst" ? volts : [phase, "abc"].includes(greeting.map.points.phase[i]) ? volts : null));
    return { buses, points, scale: scales.voltage };
  };
  const drawMap = () => {
    const values = { ...mapValues(), onChoose: choose };
    if (map) map.update(values);
    else {
      map = feederMap.draw(by("map"), greeting.map, values);
      map.choose(chosen);
    }
  };

  /* --- charts --- */
  const times = () => curves.time_s.map((s) => (page.data.time.start_s + s) * 1000);
  const charts = {
    voltage: () => {
      const at = times(), { kit } = page, [least, most] = [curves.v_min_v, curves.v_max_v];
      const high = { ...kit.line("highest", at, most, kit.colour.a), markLine: kit.limits(greeting.limits.voltage_v, "V") };
      const [low, top] = greeting.limits.voltage_v;
      return kit.chart({ unit: "V", series: [...kit.band("range", at, least, most, kit.colour.band), high, kit.line("lowest", at, least, kit.colour.c)],
        axis: { min: Math.floor(Math.min(low, ...least.filter(known)) - 3), max: Math.ceil(Math.max(top, ...most.filter(known)) + 3) } });
    },
    envelopes: () => {
      const at = times(), { kit } = page, low = curves.import_limit_kw.map((value) => (known(value) ? -value : null)), step = { step: "end" };
      const edge = { ...step, lineStyle: { width: 1.5, type: [6, 4] } };
      return kit.chart({ unit: "kW", axis: { scale: false }, series: [
        ...kit.band("room", at, low, curves.export_limit_kw, kit.colour.band, step),
        kit.line("export limits", at, curves.export_limit_kw, kit.colour.limit, edge),
        kit.line("use", at, curves.net_kw, kit.colour.net, step),
        kit.line("import limits", at, low, kit.colour.limit, edge),
      ] });
    },
    price: () => page.kit.chart({ unit: "per kWh", units: { "between peers": ["per kWh", 4] }, axis: { scale: false, min: 0 },
      series: [page.kit.line("between peers", times(), curves.price_per_kwh, page.kit.colour.c, { step: "end", lineStyle: { width: 3 } })] }),
    late: () => page.kit.chart({ unit: "ms", axis: { scale: false, min: 0 },
      series: [page.kit.line("late", times(), curves.late_s.map((s) => (known(s) ? 1000 * s : null)), page.kit.colour.pink)] }),
  };
  /* The time axis grows by quarters of the run, so that a run that has just begun is more than a dot. */
  const quarter = () => {
    const part = page.span / 4, done = 1000 * (curves.time_s.at(-1) + 1);
    return page.onAxis(page.steps[0]) + Math.min(page.span, Math.ceil(done / part) * part);
  };
  const drawCharts = () => {
    if (!curves.time_s?.length) return;
    by("late-figure").hidden = !curves.late_s.some(known);
    document.querySelectorAll("[data-chart]").forEach((place) => {
      if (!place.clientWidth) return;
      if (!drawn.has(place)) drawn.set(place, echarts.init(place, null, { renderer: "canvas" }));
      const option = charts[place.dataset.chart]();
      option.xAxis.max = quarter();
      drawn.get(place).setOption(option, true);
    });
  };

  /* --- homes --- */
  const SVG = "http://www.w3.org/2000/svg";
  const gauge = () => {
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("class", "gauge");
    svg.setAttribute("viewBox", "0 0 200 20");
    svg.setAttribute("preserveAspectRatio", "none");
    for (const [tag, name] of [["rect", "room"], ["rect", "flow"], ["line", "zero"]]) {
      const part = document.createElementNS(SVG, tag);
      part.setAttribute("class", name);
      svg.append(part);
    }
    return svg;
  };
  const setGauge = (svg, p, low, high) => {
    const [room, flow, zero] = svg.children, span = Math.max(low ?? 0, high ?? 0, Math.abs(p ?? 0), 0.1), x = (kw) => 100 + (98 * kw) / span;
    const put = (part, name, value) => part.setAttribute(name, typeof value === "number" ? value.toFixed(1) : value);
    put(room, "x", x(-(low ?? 0))); put(room, "y", 2); put(room, "height", 16); put(room, "width", x(high ?? 0) - x(-(low ?? 0)));
    put(flow, "x", Math.min(x(0), x(p ?? 0))); put(flow, "y", 6); put(flow, "height", 8); put(flow, "width", Math.abs(x(p ?? 0) - x(0)));
    flow.setAttribute("class", (p > high + 1e-3 && known(high)) || (p < -low - 1e-3 && known(low)) ? "over" : "flow");
    put(zero, "x1", x(0)); put(zero, "x2", x(0)); put(zero, "y1", 0); put(zero, "y2", 20);
    svg.setAttribute("aria-label", `${fixed(p)} kW of ${known(low) ? fixed(-low) : "no limit"} to ${known(high) ? fixed(high) : "no limit"}`);
    svg.setAttribute("role", "img");
  };
  const buildHomes = () => {
    rows = greeting.page.prosumers.map((home, i) => {
      const row = make("tr"), name = make("button", home.name), cells = Array.from({ length: 11 }, (_, at) => make("td", undefined, at === 1 || at === 5 || at === 0 ? "" : "number"));
      name.type = "button";
      cells[0].append(name);
      cells[1].textContent = home.phase;
      cells[5].append(gauge());
      row.append(...cells);
      row.addEventListener("click", () => choose(i));
      return { row, cells };
    });
    by("homes").tBodies[0].replaceChildren(...rows.map(({ row }) => row));
  };
  const showHomes = () => rows.forEach(({ row, cells }, i) => {
    const one = (name, digits) => fixed(homes[name][i], digits);
    row.classList.toggle("chosen", i === chosen);
    [[2, one("v_v", 1)], [3, one("p_kw")], [4, one("import_limit_kw")], [6, one("export_limit_kw")], [7, one("pv_p_kw")], [8, one("ev_p_kw")],
      [9, homes.plugged[i] ? one("soc_kwh", 1) : known(homes.plugged[i]) ? "away" : "–"], [10, one("traded_kwh")]]
      .forEach(([at, text]) => { if (cells[at].textContent !== text) cells[at].textContent = text; });
    setGauge(cells[5].firstChild, homes.p_kw[i], homes.import_limit_kw[i], homes.export_limit_kw[i]);
  });
  const showChosen = () => {
    const one = greeting.page.prosumers[chosen], list = make("dl", undefined, "chosen-home");
    if (!one) return;
    const facts = [["home", `${one.name}, ${one.phase === "abc" ? "three-phase" : `phase ${one.phase}`}`], ["voltage", `${fixed(homes.v_v[chosen], 1)} V`], ["power", `${fixed(homes.p_kw[chosen])} kW`],
      ["household", `${fixed(homes.household_p_kw[chosen])} kW`], ["PV", `${fixed(homes.pv_p_kw[chosen])} kW`], ["EV", `${fixed(homes.ev_p_kw[chosen])} kW`],
      ["envelope", `${known(homes.import_limit_kw[chosen]) ? fixed(-homes.import_limit_kw[chosen]) : "–"} to ${fixed(homes.export_limit_kw[chosen])} kW`], ["trade", `${fixed(homes.traded_kwh[chosen])} kWh at ${fixed(homes.price_per_kwh[chosen], 3)}`]];
    facts.forEach(([name, value]) => {
      const entry = make("div");
      entry.append(make("dt", name), make("dd", value));
      list.append(entry);
    });
    const bar = gauge();
    setGauge(bar, homes.p_kw[chosen], homes.import_limit_kw[chosen], homes.export_limit_kw[chosen]);
    by("chosen").replaceChildren(list, bar);
  };
  const choose = (place) => {
    chosen = place;
    map?.choose(place);
    showChosen();
    showHomes();
  };

  /* --- bench --- */
  const showBench = () => {
    by("bench").hidden = !frame.devices;
    if (!frame.devices) return;
    by("devices").tBodies[0].replaceChildren(...frame.devices.map((device) => {
      const row = make("tr"), age = known(device.age_s) ? (device.age_s < 120 ? `${device.age_s.toFixed(1)} s` : `${(device.age_s / 60).toFixed(0)} min`) : "never";
      const cells = [[device.device], [device.state, `quality ${device.state === "armed" ? "good" : device.state}`], [device.quality, `quality ${device.quality}`], [age, "number"], [fixed(device.asked_kw), "number"], [fixed(device.sent_kw), "number"],
        [fixed(device.power_kw), "number"], [fixed(device.soc_percent, 0), "number"], [fixed(device.latency_ms, 1), "number"], [device.reason]];
      row.append(...cells.map(([text, className]) => make("td", text, className)));
      row.title = device.profile;
      return row;
    }));
    by("audit").tBodies[0].replaceChildren(...[...frame.audit].reverse().map((line) => {
      const row = make("tr", undefined, line.ok === false ? "refused" : ""), what = line.kind === "write" ? `${line.role} = ${typeof line.new === "number" ? +line.new.toPrecision(5) : line.new}${line.ok ? "" : ", refused"}` : line.kind;
      row.append(...[line.time.slice(11, 19), line.device ?? "", what, line.who, line.reason || line.why].map((text) => make("td", text)));
      return row;
    }));
  };

  /* --- frames --- */
  const take = (columns, fresh) => {
    if (!columns) return;
    if (fresh) curves = {};
    for (const [name, values] of Object.entries(columns)) curves[name] = (curves[name] ?? []).concat(values);
  };
  const calm = () => {
    calmAt = performance.now();
    cards();
    showChosen();
    showHomes();
    showBench();
    drawCharts();
  };
  let calming = null;
  const show = (next, columns, fresh) => {
    frame = next;
    take(columns, fresh);
    words();
    if (!frame.prosumers) return;
    homes = Object.fromEntries(Object.entries(frame.prosumers).map(([name, packed]) => [name, numbers(packed)]));
    homes.use = homes.p_kw.map((p, i) => {
      const room = p >= 0 ? homes.export_limit_kw[i] : homes.import_limit_kw[i];
      return known(p) && known(room) ? Math.abs(p) / Math.max(room, 1e-3) : null;
    });
    drawMap();
    /* Text and charts twice a second: nobody reads faster. */
    clearTimeout(calming);
    const left = calmAt + CALM_MS - performance.now();
    if (left <= 0) calm();
    else calming = setTimeout(calm, left);
  };
  const begin = (told) => {
    greeting = told;
    page.kit.refresh();
    by("title").textContent = told.title;
    by("eyebrow").textContent = `${told.name} · ${told.scheme} · seed ${told.seed}`;
    const [low, high] = told.limits.voltage_v;
    scales = {
      voltage: { low: low - 3, high: high + 3, stops: feederMap.stops.diverging, limits: [low, high], unit: "V", digits: 1 },
      loading: { low: 0, high: 120, stops: feederMap.stops.sequential, limits: [null, told.limits.line_percent], unit: "%", digits: 0 },
      use: { low: 0, high: 100, stops: feederMap.stops.sequential, limits: [null, 100.1], unit: "%", digits: 0 },
    };
    buildHomes();
    for (const id of ["colour", "phase"]) by(id).addEventListener("change", () => frame?.prosumers && drawMap());
    addEventListener("theme", () => {
      page.kit.refresh();
      drawCharts();
    });
    addEventListener("resize", () => drawn.forEach((chart) => chart.resize()));
  };
  return {
    begin, show, notice,
    lost: () => {
      status("lost", "connection lost");
      notice("failed", "No connection to the run", "This is how it was last seen; the page goes on looking for it.");
    },
    gone: () => {
      const word = by("status").textContent;
      notice(frame.status, `The run is over: ${word}`, `${frame.message || `The results are in ${greeting.folder}.`} The program that served this page has ended; what it showed last stays here.`);
    },
  };
})();
