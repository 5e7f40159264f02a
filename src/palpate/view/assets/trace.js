"use strict";
// The steps of an attack on one image, where the run traced it: a line for each start, and the numbers.
palpate.trace = (() => {
  const { element, byId } = palpate;
  const SVG = "http://www.w3.org/2000/svg";
  const WORDS = { margin: "Margin (0 or less: beaten)", value: "Objective", loss: "Loss", penalty: "Stabilisation term", kl_clean: "Distance of the decision from the clean one (KL)", kl_final: "Distance of the decision from the last one (KL)", cos_step: "Cosine of a step and the one before", cos_final: "Cosine of the change and the last one", linf: "Largest change", l2: "Length of the change (L2)" };
  const WIDTH = 640, HEIGHT = 240, LEFT = 62, RIGHT = 12, TOP = 12, BOTTOM = 40;

  function show(table, record) {
    const box = byId("trace");
    box.replaceChildren();
    if (!table.byKey.has("traced") || table.byKey.get("traced").at(record) !== "traced") return;
    palpate.load(`trace-${record}`).then((found) => {
      if (palpate.state.state.open !== record) return;
      const names = Object.keys(WORDS).filter((name) => found.columns[name].some((value) => value !== null));
      const select = element("select", {}, ...names.map((name) => element("option", { value: name }, WORDS[name])));
      const chart = element("div", { className: "wide" });
      const draw = () => chart.replaceChildren(drawn(found.columns, select.value));
      select.addEventListener("change", draw);
      box.append(element("h3", {}, `Step by step, at budget ${palpate.shown(found.eps)}`), element("label", {}, "Figure ", select), chart, element("p", { className: "note" }, starts(found.columns.start)), numbers(found.columns, names));
      draw();
    }, () => {});
  }

  function starts(column) {
    const count = new Set(column).size;
    return count > 1 ? `Each line is one of ${count} independent starts.` : "";
  }

  const make = (tag, attributes, text) => {
    const made = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    if (text !== undefined) made.textContent = text;
    return made;
  };

  function drawn(columns, name) {
    const values = columns[name], known = values.filter((value) => value !== null);
    const steps = Math.max(1, ...columns.step);
    let [low, high] = [Math.min(...known), Math.max(...known)];
    if (name === "margin") [low, high] = [Math.min(0, low), Math.max(0, high)];
    if (low === high) [low, high] = [low - 1, high + 1];
    const x = (step) => LEFT + (step / steps) * (WIDTH - LEFT - RIGHT);
    const y = (value) => HEIGHT - BOTTOM - ((value - low) / (high - low)) * (HEIGHT - TOP - BOTTOM);
    const svg = make("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${WORDS[name]} by step, from ${palpate.shown(low)} to ${palpate.shown(high)}` });
    for (const value of [low, (low + high) / 2, high]) {
      svg.append(make("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value), class: "grid" }));
      svg.append(make("text", { x: LEFT - 8, y: y(value) + 4, "text-anchor": "end" }, palpate.shown(Number(value.toPrecision(3)))));
    }
    if (low < 0 && high > 0) svg.append(make("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y(0), y2: y(0), class: "zero" }));
    for (const step of new Set([0, Math.round(steps / 2), steps])) svg.append(make("text", { x: x(step), y: HEIGHT - BOTTOM + 18, "text-anchor": "middle" }, String(step)));
    svg.append(make("text", { x: (LEFT + WIDTH) / 2, y: HEIGHT - 4, "text-anchor": "middle" }, "step"));
    for (const start of [...new Set(columns.start)]) {
      const points = columns.step.map((step, place) => [step, values[place], columns.start[place]]).filter(([, value, whose]) => whose === start && value !== null);
      svg.append(make("polyline", { points: points.map(([step, value]) => `${x(step)},${y(value)}`).join(" "), class: `line part-${start % 8}` }));
      points.forEach(([step, value]) => svg.append(make("circle", { cx: x(step), cy: y(value), r: 2.5, class: `dot part-${start % 8}` })));
    }
    return svg;
  }

  function numbers(columns, names) {
    const shown = ["start", "step", ...names];
    const head = element("tr", {}, ...shown.map((name) => element("th", { scope: "col", className: "number" }, name)));
    const lines = columns.step.map((_, place) => element("tr", {}, ...shown.map((name) => element("td", { className: "number" }, palpate.shown(columns[name][place] === null ? NaN : columns[name][place])))));
    return element("details", {}, element("summary", {}, "Numbers"), element("div", { className: "wide" }, element("table", { className: "plain" }, element("thead", {}, head), element("tbody", {}, ...lines))));
  }

  return { show };
})();
