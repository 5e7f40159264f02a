"use strict";
// Lines over steps: a small chart with a mark at the step that is looked at.
palpate.chart = (() => {
  const SVG = "http://www.w3.org/2000/svg";
  const WIDTH = 340, HEIGHT = 190, LEFT = 58, RIGHT = 12, TOP = 10, BOTTOM = 36;

  const make = (tag, attributes, text) => {
    const made = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    if (text !== undefined) made.textContent = text;
    return made;
  };

  // `lines` are points [step, value], one list for each start; `zero`: 0 is always on the axis.
  function drawn({ title, lines, steps, zero, chosen }) {
    const known = lines.flat().map(([, value]) => value);
    let [low, high] = [Math.min(...known), Math.max(...known)];
    if (zero) [low, high] = [Math.min(0, low), Math.max(0, high)];
    if (low === high) [low, high] = [low - 1, high + 1];
    const x = (step) => LEFT + (step / steps) * (WIDTH - LEFT - RIGHT);
    const y = (value) => HEIGHT - BOTTOM - ((value - low) / (high - low)) * (HEIGHT - TOP - BOTTOM);
    const svg = make("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${title} by step, from ${palpate.shown(low)} to ${palpate.shown(high)}` });
    for (const value of [low, (low + high) / 2, high]) {
      svg.append(make("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value), class: "grid" }));
      svg.append(make("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, palpate.shown(Number(value.toPrecision(3)))));
    }
    if (low < 0 && high > 0) svg.append(make("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y(0), y2: y(0), class: "zero" }));
    for (const step of new Set([0, Math.round(steps / 2), steps])) svg.append(make("text", { x: x(step), y: HEIGHT - BOTTOM + 16, "text-anchor": "middle" }, String(step)));
    svg.append(make("text", { x: (LEFT + WIDTH) / 2, y: HEIGHT - 3, "text-anchor": "middle" }, "step"));
    // The chosen start is drawn last, above the others.
    const order = lines.map((points, start) => [points, start]).sort(([, one], [, other]) => (one === chosen) - (other === chosen));
    order.forEach(([points, start]) => {
      const look = `part-${start % 8}${lines.length > 1 && start !== chosen ? " other" : ""}`;
      svg.append(make("polyline", { points: points.map(([step, value]) => `${x(step)},${y(value)}`).join(" "), class: `line ${look}` }));
      for (const [step, value] of points) svg.append(make("circle", { cx: x(step), cy: y(value), r: 2, class: `dot ${look}` }));
    });
    // A step is marked and unmarked without drawing all lines again.
    const rule = make("line", { y1: TOP, y2: HEIGHT - BOTTOM, class: "rule" });
    svg.append(rule);
    const mark = (step) => [rule.setAttribute("x1", x(step)), rule.setAttribute("x2", x(step))];
    return { svg, mark };
  }

  return { drawn };
})();
