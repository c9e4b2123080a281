"use strict";
/* The map of the report: which values of a run colour it, and when. */
(() => {
  const found = page.data.map;
  if (!found) return;
  const { topology, layers } = found, phases = ["a", "b", "c"];
  const scales = layers.map(({ low, high, limits, unit, digits, stops }) => ({ low, high, limits, unit, digits, stops: feederMap.stops[stops] }));
  const counts = { buses: topology.buses.name.length, branches: topology.branches.name.length, points: topology.points.name.length };
  let chosen = 0, phase = "worst";

  const worst = (layer, rows) => {
    const away = layer.middle === undefined ? (value) => value : (value) => Math.abs(value - layer.middle);
    return rows[0].map((_, i) => rows.map((row) => row[i]).reduce((most, value) =>
      value !== null && (most === null || away(value) > away(most)) ? value : most, null));
  };
  const ofPhase = (layer, kind, frame) => {
    if (!layer[kind]) return null;
    const row = (one) => page.numbers(layer[kind][one], frame, counts[kind]);
    return phase === "worst" ? worst(layer, phases.map(row)) : row(phase);
  };
  const values = () => {
    const layer = layers[chosen], frame = page.sliders.map, buses = ofPhase(layer, "buses", frame);
    const points = layer.points ? page.numbers(layer.points, frame, counts.points) : topology.points.name.map(() => null);
    const shown = (value, place) => {
      const own = topology.points.phase[place];
      if (phase === "worst" || own === phase) return value;
      return own === "abc" ? (buses ? buses[topology.points.bus[place]] : value) : null;
    };
    return { points: points.map(shown), buses: layer.points && !buses ? topology.buses.name.map(() => null) : buses, branches: ofPhase(layer, "branches", frame),
      scale: scales[chosen], onChoose: (place) => page.choose(topology.points.prosumer[place], true) };
  };

  let map = null;
  const show = () => map.update(values());
  page.slider("map", { count: found.frames, first: found.first, show, label: (frame) => page.spanOf(frame, found.frame_s) });
  map = feederMap.draw(document.getElementById("feeder-map"), topology, values());
  page.onChosen = (prosumer) => map.choose(topology.points.prosumer.indexOf(prosumer));
  document.querySelectorAll('input[name="layer"]').forEach((input) => input.addEventListener("change", () => {
    chosen = Number(input.value);
    show();
  }));
  document.querySelectorAll('input[name="phase"]').forEach((input) => input.addEventListener("change", () => {
    phase = input.value;
    show();
  }));

  /* Every frame of what is chosen, a row per element and phase. */
  page.downloads.map = () => {
    const layer = layers[chosen], rows = [["time", "element", "phase", `${layer.title} (${layer.unit})`]];
    for (let frame = 0; frame < found.frames; frame += 1) {
      const time = page.iso((page.data.time.start_s + frame * found.frame_s) * 1000);
      if (layer.points) page.numbers(layer.points, frame, counts.points).forEach((value, i) => rows.push([time, topology.points.name[i], topology.points.phase[i], value]));
      for (const kind of ["buses", "branches"]) for (const one of layer[kind] ? phases : [])
        page.numbers(layer[kind][one], frame, counts[kind]).forEach((value, i) => rows.push([time, kind === "buses" ? `bus ${topology.buses.name[i]}` : topology.branches.name[i], one, value]));
    }
    return page.kit.rows(rows);
  };
})();
