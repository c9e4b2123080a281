"use strict";
/* The viewer: asks the server for what is looked at, and draws it. */
(async () => {
  const by = (id) => document.getElementById(id), known = (value) => value !== null && value !== undefined;
  const make = (tag, text, className = "") => Object.assign(document.createElement(tag), { textContent: text ?? "", className });
  const told = {}, drawn = new Map();
  let about, map = null, scales, span, chosen = 0, offset = 0, slideAsked = null, sliding = false, playing = null;

  /* --- server --- */
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    sessionStorage.setItem("view token", given);
    history.replaceState(null, "", location.pathname);
  }
  const askToken = () => new Promise((done) => {
    by("ask").showModal();
    by("ask").querySelector("form").addEventListener("submit", () => {
      sessionStorage.setItem("view token", by("token").value.trim());
      done();
    }, { once: true });
  });
  const request = async (path, values = {}) => {
    const token = sessionStorage.getItem("view token");
    const answer = await fetch(`/api/${path}?${new URLSearchParams(values)}`, token ? { headers: { authorization: `Bearer ${token}` } } : {});
    if (answer.status === 401) {
      await askToken();
      return request(path, values);
    }
    if (!answer.ok) throw new Error((await answer.json()).error);
    return answer;
  };
  const ask = async (path, values) => (await request(path, values)).json();
  const notice = (kind, head, text) => {
    by("notice").hidden = !head;
    by("notice").className = `banner ${kind}`;
    by("notice").replaceChildren(make("strong", head), make("p", text));
  };
  const guarded = (work) => (...values) => work(...values).catch((error) => notice("failed", "The viewer could not be asked", `${error.message} (has it been ended?)`));
  const load = (source) => new Promise((done, failed) => document.head.append(Object.assign(make("script"), { src: source, onload: done, onerror: failed })));

  /* --- charts --- */
  /* The library of charts is large: it comes once the map is there. */
  let library = null;
  const draw = async (names) => {
    await (library ??= load("/echarts.js"));
    names.forEach(drawOne);
  };
  const drawOne = (name) => {
    const place = document.querySelector(`[data-chart="${name}"]`), option = view.charts[name](told);
    place.closest(".chart").hidden = !option;
    if (!option) return;
    if (!drawn.has(name)) drawn.set(name, echarts.init(place, null, { renderer: "canvas" }));
    Object.assign(option.xAxis, { min: page.onAxis(1000 * span[0]), max: page.onAxis(1000 * span[1]) });
    drawn.get(name).setOption(option, true);
  };
  const FEEDER = ["voltage", "envelopes", "price"], HOME = ["power", "parts", "volts", "soc"];
  const within = () => ({ from: span[0], to: span[1] });
  const showHome = guarded(async () => {
    const one = about.page.prosumers[chosen];
    if (!one) return;
    told.home = await ask("curves", { ...within(), prosumer: one.name });
    const facts = [one.phase && (one.phase === "abc" ? "three-phase" : `phase ${one.phase}`), one.pv_kwp > 0 && `${one.pv_kwp.toFixed(1)} kWp of PV`,
      one.ev_capacity_kwh > 0 && `EV of ${one.ev_capacity_kwh.toFixed(0)} kWh`];
    by("facts").textContent = facts.filter(Boolean).join(", ");
    await draw(HOME);
  });
  const showSpan = guarded(async () => {
    const day = (s) => `${page.day(1000 * s)}, ${page.clock(1000 * s)}`;
    by("shown").textContent = `${day(span[0])} – ${day(span[1])}`;
    const whole = span[0] <= start() && span[1] >= end();
    by("earlier").disabled = whole || span[0] <= start();
    by("later").disabled = whole || span[1] >= end();
    const { step_s: step } = page.data.time;
    Object.assign(by("slider"), { min: Math.round((span[0] - start()) / step), max: Math.round((span[1] - start()) / step) - 1 });
    await showMoment();  // the map comes first
    [told.feeder] = await Promise.all([ask("curves", within()), showHome(), showTable(0)]);
    await draw(FEEDER);
    told.loading = await ask("loading", within());
    await draw(["loading"]);
  });

  /* --- time --- */
  const start = () => page.data.time.start_s;
  const end = () => start() + page.data.time.points * page.data.time.step_s;
  const LENGTHS = [["6 hours", 21600], ["1 day", 86400], ["1 week", 604800]];
  const setSpan = (from, length) => {
    const first = Math.max(Math.min(from, end() - length), start());
    span = [first, Math.min(first + length, end())];
    return showSpan();
  };
  const move = (sign) => setSpan(span[0] + sign * (span[1] - span[0]), span[1] - span[0]);

  /* --- map --- */
  const farthest = (values) => values.filter((value) => known(value) && value < 1000).reduce((one, other) => (one === null || Math.abs(other - 230) > Math.abs(one - 230) ? other : one), null);
  const values = () => {
    const kind = by("colour").value, { points, buses, branches } = told.moment;
    const most = (row) => row.filter(known).reduce((one, other) => (one === null ? other : Math.max(one, other)), null);
    if (kind === "loading") return { branches: branches.loading_a_percent.map((a, i) => most([a, branches.loading_b_percent[i], branches.loading_c_percent[i]])), scale: scales.loading };
    if (kind === "use") return { points: points.p_kw.map((p, i) => {
      const room = p >= 0 ? points.export_limit_kw[i] : points.import_limit_kw[i];
      return known(p) && known(room) ? (100 * Math.abs(p)) / Math.max(room, 1e-3) : null;
    }), scale: scales.use };
    return { points: points.v_v, buses: buses.v_a_v.map((a, i) => farthest([a, buses.v_b_v[i], buses.v_c_v[i]])), scale: scales.voltage };
  };
  const drawMap = () => {
    if (!about.map) return;
    const shown = { ...values(), onChoose: choose };
    if (map) map.update(shown);
    else {
      map = feederMap.draw(by("map"), about.map, shown);
      map.choose(chosen);
    }
  };
  /* One question at a time; of those asked meanwhile, only the last. */
  const showMoment = guarded(async () => {
    slideAsked = start() + Number(by("slider").value) * page.data.time.step_s;
    if (sliding) return;
    sliding = true;
    try {
      while (slideAsked !== null) {
        const at = slideAsked;
        slideAsked = null;
        if (told.moment.at !== at) told.moment = await ask("moment", { at });
        by("moment").textContent = `${page.day(1000 * told.moment.at)}, ${page.clock(1000 * told.moment.at)}`;
        by("slider").setAttribute("aria-valuetext", by("moment").textContent);
        drawMap();
      }
    } finally {
      sliding = false;
    }
  });
  const play = () => {
    const slider = by("slider");
    if (playing) clearInterval(playing);
    playing = playing ? null : setInterval(() => {
      slider.value = Number(slider.value) >= Number(slider.max) ? slider.min : Number(slider.value) + 1;
      showMoment();
    }, 200);
    by("play").textContent = playing ? "Stop" : "Play";
    by("play").setAttribute("aria-pressed", String(Boolean(playing)));
  };

  /* --- homes --- */
  const choose = (place) => {
    const count = about.page.prosumers.length;
    chosen = (place + count) % count;
    by("prosumer").value = chosen;
    map?.choose(chosen);
    showHome();
    if (by("only").checked) showTable(0);
  };

  /* --- tables --- */
  const which = () => ({ table: by("table").value, ...(span ? within() : {}), ...(by("only").checked && about.page.prosumers[chosen] ? { prosumer: about.page.prosumers[chosen].name } : {}) });
  const cell = (value) => (typeof value === "number" && !Number.isInteger(value) ? String(+value.toPrecision(7)) : value === null ? "" : String(value));
  const showTable = guarded(async (from) => {
    if (!by("table").value) return;
    offset = Math.max(from, 0);
    const found = await ask("table", { ...which(), offset });
    by("rows").tHead.replaceChildren(make("tr"));
    by("rows").tHead.rows[0].append(...found.columns.map((name) => Object.assign(make("th", name), { scope: "col" })));
    by("rows").tBodies[0].replaceChildren(...found.rows.map((row) => {
      const line = make("tr");
      line.append(...row.map((value) => make("td", cell(value), typeof value === "number" ? "number" : "")));
      return line;
    }));
    by("where").textContent = found.total ? `rows ${offset + 1} to ${offset + found.rows.length} of ${found.total.toLocaleString("en")}` : "no rows in this part of the run";
    by("back").disabled = offset === 0;
    by("forth").disabled = offset + found.rows.length >= found.total;
  });
  const download = guarded(async () => {
    const link = make("a"), content = await (await request("table.csv", which())).blob();
    link.href = URL.createObjectURL(content);
    link.download = `${by("table").value}.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });

  /* --- beginning --- */
  const WORDS = { failed: "This run failed", interrupted: "This run was interrupted", running: "This run is still going on", incomplete: "This run is incomplete" };
  const head = () => {
    by("status").className = `pill ${about.status}`;
    by("status").textContent = about.status;
    by("title").textContent = document.title = about.title;
    by("eyebrow").textContent = [about.name, about.scheme, about.folder].filter(Boolean).join(" · ");
    const damaged = about.damaged.length ? ` Damaged, and therefore not shown: ${about.damaged.join(", ")}.` : "";
    if (about.status !== "complete") {
      const reached = about.duration_s ? ` It reached ${(about.reached_s / 3600).toFixed(1)} of ${(about.duration_s / 3600).toFixed(1)} hours.` : "";
      notice(about.status, WORDS[about.status] ?? about.status, `${about.message}${reached} What was recorded until then is shown.${damaged}`);
    } else if (damaged || !about.cards.length) {
      notice("incomplete", "This folder is incomplete", `${about.cards.length ? "" : "The run has left no figures."}${damaged} The rest is shown.`.trim());
    }
    by("cards").replaceChildren(...about.cards.map((one) => {
      const box = make("div", "", `card ${one.verdict}`);
      box.append(make("span", one.label, "label"), make("span", one.value, "value"), make("span", one.note, "note"));
      if (one.verdict) box.append(make("span", { kept: "✓ kept", near: "! near the limit", violated: "✗ violated" }[one.verdict], `verdict ${one.verdict}`));
      return box;
    }));
  };
  const controls = () => {
    const { voltage_v: [low, high], line_percent: line } = about.limits;
    scales = {
      voltage: { low: low - 3, high: high + 3, stops: feederMap.stops.diverging, limits: [low, high], unit: "V", digits: 1 },
      loading: { low: 0, high: 120, stops: feederMap.stops.sequential, limits: [null, line], unit: "%", digits: 0 },
      use: { low: 0, high: 100, stops: feederMap.stops.sequential, limits: [null, 100.1], unit: "%", digits: 0 },
    };
    by("range").append(...[...LENGTHS.filter(([, s]) => s < end() - start()), ["whole run", end() - start()]].map(([name, s]) => Object.assign(make("option", name), { value: s })));
    by("range").value = end() - start();
    by("range").addEventListener("change", () => setSpan(span[0], Number(by("range").value)));
    by("earlier").addEventListener("click", () => move(-1));
    by("later").addEventListener("click", () => move(1));
    by("slider").addEventListener("input", showMoment);
    by("play").addEventListener("click", play);
    by("colour").addEventListener("change", drawMap);
    by("prosumer").append(...about.page.prosumers.map((one, i) => Object.assign(make("option", one.name), { value: i })));
    by("prosumer").addEventListener("change", () => choose(Number(by("prosumer").value)));
    by("previous").addEventListener("click", () => choose(chosen - 1));
    by("next").addEventListener("click", () => choose(chosen + 1));
    addEventListener("theme", () => {
      page.kit.refresh();
      draw([...FEEDER, "loading", ...HOME].filter((name) => drawn.has(name)));
    });
    addEventListener("resize", () => drawn.forEach((chart) => chart.resize()));
  };
  const tables = () => {
    by("table").append(...Object.entries(about.tables).map(([name, rows]) => Object.assign(make("option", `${name} (${rows.toLocaleString("en")})`), { value: name })));
    by("tables").hidden = !Object.keys(about.tables).length;
    by("table").addEventListener("change", () => showTable(0));
    by("only").addEventListener("change", () => showTable(0));
    by("back").addEventListener("click", () => showTable(offset - 50));
    by("forth").addEventListener("click", () => showTable(offset + 50));
    by("download").addEventListener("click", download);
  };

  await guarded(async () => {
    about = await ask("run");
    Object.assign(told, { limits: about.limits, moment: about.moment });
    head();
    tables();
    if (!about.page.time) {
      await showTable(0);
      return;
    }
    by("data").textContent = JSON.stringify(about.page);
    await load("/time.js");  // the page has sent for both
    await load("/kit.js");
    page.kit.refresh();
    by("feeder").hidden = false;
    by("home").hidden = !about.page.prosumers.length;
    document.querySelector("#map").closest(".chart").hidden = !about.map;
    controls();
    await setSpan(start(), end() - start());
  })();
  document.documentElement.dataset.ready = "yes";
})();
