"use strict";
/* The page's behaviour: draws charts, theme, choice of prosumer, downloads, printing. */
(() => {
  const root = document.documentElement, drawn = new Map();
  const PAPER_PX = 640; // A4 and Letter with usual margins
  const places = [...document.querySelectorAll("[data-chart]")];

  const draw = (place) => {
    const make = page.charts[place.dataset.chart];
    if (!make) return;
    const option = make();
    let chart = drawn.get(place);
    if (option.empty) {
      if (chart) chart.dispose();
      drawn.delete(place);
      place.textContent = option.empty;
      place.classList.add("empty");
      return;
    }
    if (!chart) {
      place.textContent = "";
      chart = echarts.init(place, null, { renderer: "canvas" });
      drawn.set(place, chart);
      if (place.dataset.chart === "bills") chart.on("click", (event) => choose(page.data.bills.order[event.dataIndex], true));
    }
    chart.setOption(option, true);
  };
  page.redraw = (name) => redraw((place) => place.dataset.chart === name);
  const redraw = (which = () => true) => places.filter((place) => place.dataset.seen && which(place)).forEach(draw);

  /* Theme: the reader's choice, else the system's. */
  const system = matchMedia("(prefers-color-scheme: dark)");
  let chosenTheme = null, printing = false;
  const applyTheme = () => {
    root.dataset.theme = printing ? "light" : chosenTheme ?? (system.matches ? "dark" : "light");
    page.kit.refresh();
    redraw();
  };
  system.addEventListener("change", applyTheme);
  document.getElementById("theme").addEventListener("click", () => {
    chosenTheme = root.dataset.theme === "dark" ? "light" : "dark";
    applyTheme();
  });
  const print = (on) => () => {
    printing = on;
    if (on) places.forEach((place) => { place.dataset.seen = "1"; });
    applyTheme();
    drawn.forEach((chart) => {
      chart.resize(on ? { width: PAPER_PX } : {});
      chart.getZr().flush(); // the printer does not wait for the next frame
    });
  };
  addEventListener("beforeprint", print(true));
  addEventListener("afterprint", print(false));

  /* Prosumer. */
  const select = document.getElementById("prosumer");
  const choose = (place, go = false) => {
    const count = page.data.prosumers.length;
    page.chosen = (place + count) % count;
    page.showProsumer();
    marked();
    redraw((one) => one.dataset.chart.startsWith("p_"));
    if (!go) return;
    location.hash = "prosumers"; // so that the browser's way back leads to where the choice was made
    document.getElementById("prosumers").scrollIntoView();
  };
  const marked = () => [page.onChosen, page.markRow].forEach((tell) => tell && tell(page.chosen));
  page.choose = choose;
  if (select && page.showProsumer) {
    select.addEventListener("change", () => choose(Number(select.value)));
    document.getElementById("previous").addEventListener("click", () => choose(page.chosen - 1));
    document.getElementById("next").addEventListener("click", () => choose(page.chosen + 1));
    page.showProsumer();
    marked();
  }
  const device = document.getElementById("device");
  if (device) {
    device.value = String(page.data.devices.first);
    device.addEventListener("change", () => page.redraw("device"));
  }

  /* Downloads. */
  document.querySelectorAll("[data-download]").forEach((button) => button.addEventListener("click", () => {
    const name = button.dataset.download, own = page.downloads[name], option = own ? {} : page.charts[name]();
    if (option.empty) return;
    const who = name.startsWith("p_") || name === "statement" ? `-${page.data.prosumers[page.chosen].name.replace(/[^\w.-]/g, "_")}` : "";
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([own ? own() : page.kit.csv(option)], { type: "text/csv" }));
    link.download = `${name.replace(/^p_/, "")}${who}.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }));

  /* Where the reader is. */
  const entries = new Map([...document.querySelectorAll(".bar nav a")].map((link) => [link.hash.slice(1), link]));
  const reading = new IntersectionObserver((seen) => seen.filter((one) => one.isIntersecting).forEach((one) => {
    entries.forEach((link) => link.removeAttribute("aria-current"));
    entries.get(one.target.id)?.setAttribute("aria-current", "true");
  }), { rootMargin: "-20% 0px -70% 0px" });
  document.querySelectorAll("main > section").forEach((section) => reading.observe(section));

  applyTheme();
  /* One chart at a time from the top, so that the page answers meanwhile. */
  const waiting = [...places];
  const drawNext = () => {
    const place = waiting.shift();
    if (!place) return;
    place.dataset.seen = "1";
    draw(place);
    setTimeout(drawNext);
  };
  drawNext();
  addEventListener("resize", () => printing || drawn.forEach((chart) => chart.resize()));
})();
