"use strict";
/* The map of a feeder, on its own: no library, no page around it.

   const map = feederMap.draw(element, topology, values);   fills an empty element
   map.update(values);                                      shows other values, quick enough for ten a second
   map.choose(place);                                       marks a connection point

   topology   what Topology.as_dict() of coupling/topology.py returns
   values     all optional but `scale`; numbers or null, in the topology's order:
     points     a number per connection point
     buses      a number per bus; branches without numbers of their own take the mean of their ends
     branches   a number per branch
     scale      { low, high, stops, limits, unit, digits }: colours of `feederMap.stops` from low to high; what is outside
                `limits` ([lowest, highest], either may be null) is drawn thicker and ringed
     onChoose   called with the place of a connection point that was clicked, or chosen by keyboard */
const feederMap = {
  /* Told apart with any colour vision, and on light and dark ground. */
  stops: {
    diverging: ["#0072b2", "#4a9fd4", "#98a4af", "#e69f00", "#d55e00"],
    sequential: ["#8fa3b5", "#c9a227", "#e69f00", "#e07b00", "#d55e00"],
    room: ["#d55e00", "#e69f00", "#98a4af", "#4a9fd4", "#0072b2"],
  },
};

(() => {
  const SVG = "http://www.w3.org/2000/svg", BINS = 48, PAD = 18;
  const make = (name, attributes, parent) => {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (parent) parent.append(made);
    return made;
  };
  const mixed = (stops, share) => {
    const at = Math.min(Math.max(share, 0), 1) * (stops.length - 1), i = Math.min(Math.floor(at), stops.length - 2);
    const part = (colour, k) => parseInt(colour.slice(1 + 2 * k, 3 + 2 * k), 16);
    return `rgb(${[0, 1, 2].map((k) => Math.round(part(stops[i], k) + (at - i) * (part(stops[i + 1], k) - part(stops[i], k)))).join(" ")})`;
  };
  const palettes = new Map();
  const palette = (stops) => {
    if (!palettes.has(stops)) palettes.set(stops, Array.from({ length: BINS + 1 }, (_, i) => mixed(stops, i / BINS)));
    return palettes.get(stops);
  };
  const known = (value) => value !== null && value !== undefined && Number.isFinite(value);
  const outside = (value, [low, high]) => (known(low) && value < low) || (known(high) && value > high);

  feederMap.draw = (element, topology, first) => {
    const { buses, branches, points } = topology;
    let values = first, chosen = null;
    const shown = new Map(); // element -> what it looks like, so that only what changes is touched
    element.classList.add("feeder-map");
    const svg = make("svg", { role: "group", "aria-label": "Map of the feeder; arrow keys go from one connection point to the next" }, element);
    const lines = branches.name.map((name, i) => {
      const line = make("line", { class: name.startsWith("trafo") ? "branch trafo" : "branch" }, svg);
      line.addEventListener("pointerenter", () => say(`${name}: ${number(branchValue(i))}`));
      return line;
    });
    const source = make("rect", { class: "source", width: 12, height: 12 }, svg);
    make("title", {}, source).textContent = "supply from the network above";
    const spots = points.name.map((name, place) => {
      const spot = make("g", { class: "point", role: "button", tabindex: place ? -1 : 0, "aria-pressed": "false" }, svg);
      make("circle", { class: "hit", r: 13 }, spot);
      make("circle", { class: "dot", r: 5.5 }, spot);
      const tell = () => say(label(place));
      spot.addEventListener("pointerenter", tell);
      spot.addEventListener("focus", tell);
      spot.addEventListener("click", () => pick(place));
      spot.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
        if (event.key === "Enter" || event.key === " ") pick(place);
        else if (step) focus((place + step + spots.length) % spots.length);
        else return;
        event.preventDefault();
      });
      return spot;
    });
    const legend = make("svg", { class: "map-legend", role: "img" }, element);
    const readout = document.createElement("p");
    readout.className = "map-readout";
    element.append(readout);

    const say = (text) => { readout.textContent = text; };
    const fixed = (value, digits) => (+value.toFixed(digits) + 0).toFixed(digits);  // without a minus before zero
    const number = (value) => known(value) ? `${fixed(value, values.scale.digits ?? 1)} ${values.scale.unit}` : "no value";
    const label = (place) => `${points.name[place]}, ${points.phase[place] === "abc" ? "three-phase" : `phase ${points.phase[place]}`}: ${number(pointValue(place))}`;
    const pointValue = (place) => values.points ? values.points[place] : values.buses ? values.buses[points.bus[place]] : null;
    const branchValue = (i) => {
      if (values.branches) return values.branches[i];
      if (!values.buses) return null;
      const [one, other] = [values.buses[branches.from[i]], values.buses[branches.to[i]]];
      return known(one) && known(other) ? (one + other) / 2 : one ?? other;
    };
    const focus = (place) => {
      spots.forEach((spot, i) => spot.setAttribute("tabindex", i === place ? 0 : -1));
      spots[place].focus();
    };
    const pick = (place) => {
      choose(place);
      if (values.onChoose) values.onChoose(place);
    };
    const choose = (place) => {
      chosen = place;
      spots.forEach((spot, i) => {
        spot.setAttribute("aria-pressed", String(i === place));
        spot.setAttribute("tabindex", i === (place ?? 0) ? 0 : -1);
      });
      if (known(place)) svg.append(spots[place]); // on top of its neighbours
    };

    const paint = (target, attribute, value) => {
      const { low, high, stops, limits = [] } = values.scale;
      const bin = known(value) ? Math.round(Math.min(Math.max((value - low) / (high - low), 0), 1) * BINS) : -1;
      const look = `${stops} ${bin} ${known(value) && outside(value, limits)}`;
      if (shown.get(target) === look) return;
      shown.set(target, look);
      if (bin < 0) target.removeAttribute(attribute);
      else target.setAttribute(attribute, palette(stops)[bin]);
      target.classList.toggle("outside", known(value) && outside(value, limits));
    };
    const update = (next) => {
      const same = values.scale === next.scale && legend.childElementCount;
      values = next;
      lines.forEach((line, i) => paint(line, "stroke", branchValue(i)));
      spots.forEach((spot, place) => {
        paint(spot, "fill", pointValue(place));
        spot.setAttribute("aria-label", label(place));
      });
      if (!same) drawLegend();
    };

    const drawLegend = () => {
      const { low, high, stops, limits = [], unit, digits = 1 } = values.scale, width = 260, edge = 36;
      legend.replaceChildren();
      legend.setAttribute("viewBox", `0 0 ${width + 2 * edge} 46`);
      legend.setAttribute("aria-label", `Colours from ${low} to ${high} ${unit}`);
      palette(stops).forEach((colour, i) =>
        make("rect", { x: edge + (i * width) / (BINS + 1), y: 2, width: width / (BINS + 1) + 0.6, height: 10, fill: colour }, legend));
      const mark = (value, limit) => {
        const x = edge + (width * (value - low)) / (high - low);
        if (limit) make("line", { class: "limit", x1: x, x2: x, y1: 0, y2: 15 }, legend);
        make("text", { x, y: 27, "text-anchor": "middle", class: limit ? "limit" : "" }, legend).textContent =
          `${limit ? "limit " : ""}${+value.toFixed(digits)}${limit ? "" : ` ${unit}`}`;
      };
      const drawn = limits.filter((value) => known(value) && value >= low && value <= high);
      drawn.forEach((value) => mark(value, true));
      [low, high].filter((end) => drawn.every((value) => Math.abs(value - end) > 0.24 * (high - low))).forEach((end) => mark(end, false));
      const away = limits.filter((value) => known(value) && !drawn.includes(value));
      if (away.length) make("text", { x: edge + width / 2, y: 42, "text-anchor": "middle", class: "limit" }, legend).textContent =
        `limit ${away.join(" and ")} ${unit} is beyond these colours`;
    };

    /* Places in pixels, so that lines and dots keep their size on any screen. */
    const fit = () => {
      const width = element.clientWidth || 640, [right, bottom] = [Math.max(...buses.x), Math.max(...buses.y)];
      const height = Math.round(Math.min(Math.max((bottom / right) * (width - 2 * PAD) + 2 * PAD, 200), 560));
      const size = Math.min((width - 2 * PAD) / right, (height - 2 * PAD) / Math.max(bottom, 1e-9));
      const x = (bus) => (width - size * right) / 2 + size * buses.x[bus], y = (bus) => (height - size * bottom) / 2 + size * buses.y[bus];
      svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
      lines.forEach((line, i) => {
        const [from, to] = [branches.from[i], branches.to[i]];
        for (const [key, value] of [["x1", x(from)], ["y1", y(from)], ["x2", x(to)], ["y2", y(to)]]) line.setAttribute(key, value.toFixed(1));
      });
      source.setAttribute("x", x(topology.source) - 6);
      source.setAttribute("y", y(topology.source) - 6);
      const at = new Map(); // connection points that share a bus stand side by side
      spots.forEach((spot, place) => {
        const bus = points.bus[place], turn = at.get(bus) ?? 0;
        at.set(bus, turn + 1);
        const [dx, dy] = turn ? [9 * Math.cos(2.4 * turn), 9 * Math.sin(2.4 * turn)] : [0, 0];
        spot.setAttribute("transform", `translate(${(x(bus) + dx).toFixed(1)} ${(y(bus) + dy).toFixed(1)})`);
      });
    };

    let last = 0;
    new ResizeObserver(() => {
      if (element.clientWidth && element.clientWidth !== last) fit();
      last = element.clientWidth;
    }).observe(element);
    fit();
    update(first);
    return { update, choose, get chosen() { return chosen; } };
  };
})();
