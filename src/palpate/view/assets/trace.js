"use strict";
// The steps of an attack on one image, where the run traced it: figures by step, and the maps that the run kept.
palpate.trace = (() => {
  const { element, byId } = palpate;
  const WORDS = { margin: "Margin (0 or less: beaten)", value: "Objective", linf: "Largest change", l2: "Length of the change (L2)", loss: "Loss", penalty: "Stabilisation term", kl_clean: "Distance of the decision from the clean one (KL)", kl_final: "Distance of the decision from the last one (KL)", cos_step: "Cosine of a step and the one before", cos_final: "Cosine of the change and the last one" };
  const ALWAYS = ["margin", "value", "linf"];
  let shown = null;

  function show(table, record) {
    const box = byId("trace");
    box.replaceChildren();
    shown = null;
    if (!table.byKey.has("traced") || table.byKey.get("traced").at(record) !== "traced") return;
    palpate.load(`trace-${record}`).then((found) => {
      const { state } = palpate.state;
      if (state.open !== record || palpate.state.current() !== table) return;
      shown = made(found);
      const level = table.byKey.get("eps").at(record);
      const other = level === found.eps ? "" : ` The record above is at budget ${palpate.shown(level)}.`;
      box.replaceChildren(element("h3", {}, `Step by step, at budget ${palpate.shown(found.eps)}`));
      const said = `${starts(shown.lines.length)}${other}`.trim();
      if (said) box.append(element("p", { className: "note" }, said));
      box.append(shown.controls, shown.charts, maps(found), numbers(found.columns, shown.names));
      draw();
    }, () => {});
  }

  const starts = (count) => (count > 1 ? `Each line is one of ${count} independent starts; the chosen one is bold.` : "");

  function made(found) {
    const { columns } = found;
    const names = Object.keys(WORDS).filter((name) => columns[name].some((value) => value !== null));
    const rows = new Map();
    columns.start.forEach((start, place) => rows.set(start, [...(rows.get(start) || []), place]));
    const lines = [...rows.values()];
    const steps = Math.max(1, ...columns.step);
    const slider = element("input", { type: "range", min: "0", max: String(steps), step: "1", value: String(steps), id: "step" });
    const said = element("output", { id: "step-said" });
    const whose = element("select", { name: "start" }, ...lines.map((_, start) => element("option", { value: String(start) }, String(start + 1))));
    const more = names.filter((name) => !ALWAYS.includes(name));
    const figure = element("select", { name: "figure" }, ...more.map((name) => element("option", { value: name }, WORDS[name])));
    slider.addEventListener("input", mark);
    whose.addEventListener("change", draw);
    figure.addEventListener("change", draw);
    const controls = element("div", { className: "bar controls" }, element("label", {}, "Step ", slider));
    if (lines.length > 1) controls.append(element("label", {}, "Start ", whose));
    if (more.length) controls.append(element("label", {}, "Further figure ", figure));
    controls.append(said);
    return { columns, names, lines, steps, slider, said, whose, figure, controls, charts: element("div", { className: "charts" }), drawn: [] };
  }

  function draw() {
    const { columns, lines, steps, whose, figure, charts, names } = shown;
    const chosen = Number(whose.value);
    const wanted = [...ALWAYS.filter((name) => names.includes(name)), ...(figure.value ? [figure.value] : [])];
    shown.drawn = wanted.map((name) => {
      const points = lines.map((places) => places.filter((place) => columns[name][place] !== null).map((place) => [columns.step[place], columns[name][place]]));
      return { name, ...palpate.chart.drawn({ title: WORDS[name], lines: points, steps, zero: name === "margin", chosen }) };
    });
    charts.replaceChildren(...shown.drawn.map(({ name, svg }) => element("figure", {}, element("figcaption", {}, WORDS[name]), svg)));
    mark();
  }

  // The step that is looked at: a rule in every chart, and the figures in words.
  function mark() {
    const { columns, lines, slider, said, whose, steps, drawn } = shown;
    const now = Number(slider.value);
    for (const one of drawn) one.mark(now);
    const place = lines[Number(whose.value)].find((one) => columns.step[one] === now);
    const figures = drawn.map(({ name }) => {
      const value = place === undefined ? null : columns[name][place];
      return `${WORDS[name].replace(/ \(.*/, "").toLowerCase()} ${value === null ? "–" : palpate.shown(value)}`;
    });
    said.textContent = `Step ${now} of ${steps}: ${figures.join(", ")}`;
    slider.setAttribute("aria-valuetext", said.textContent);
  }

  function step(count) {
    if (!shown) return;
    shown.slider.value = String(Number(shown.slider.value) + count);
    mark();
  }

  function maps(found) {
    const box = element("div", { className: "maps" });
    if (found.why) box.append(element("p", { className: "note" }, found.why));
    shown.turn = () => {};
    if (!found.maps.length) return box;
    const image = element("img", { draggable: false });
    const ramp = element("div", { className: "ramp" }), ends = element("div", { className: "ends" }), about = element("figcaption");
    let now = -1;
    const buttons = found.maps.map((one, place) => {
      const button = element("button", { type: "button" }, one.title);
      button.addEventListener("click", () => choose(place));
      return button;
    });
    function choose(place) {
      now = place;
      const one = found.maps[place];
      image.src = one.picture;
      image.alt = `${one.title}. ${one.about}`;
      buttons.forEach((button, at) => button.setAttribute("aria-pressed", String(at === place)));
      ramp.hidden = ends.hidden = !one.ends.length;
      ramp.classList.toggle("half", one.ends.length === 2);
      ends.replaceChildren(...one.ends.map((text) => element("span", {}, text)));
      about.textContent = one.about;
    }
    shown.turn = () => choose((now + 1) % found.maps.length);
    image.addEventListener("load", () => image.classList.toggle("pixels", image.naturalWidth < 200));
    image.addEventListener("error", () => { about.textContent = "This picture cannot be read."; });
    const group = element("div", { className: "bar", role: "group" }, ...buttons);
    group.setAttribute("aria-label", "Maps of the trace");
    box.append(element("h3", {}, "Where it changed the image"), group, element("figure", {}, image, ramp, ends, about));
    box.append(element("p", { className: "note" }, "A run keeps maps of the end of a trace, not of each step."));
    choose(Math.min(1, found.maps.length - 1));
    return box;
  }

  function numbers(columns, names) {
    const list = ["start", "step", ...names];
    const value = (name, place) => (columns[name][place] === null ? NaN : columns[name][place] + (name === "start" ? 1 : 0));
    const head = element("tr", {}, ...list.map((name) => element("th", { scope: "col", className: "number" }, (WORDS[name] || name).replace(/ \(.*/, ""))));
    const lines = columns.step.map((_, place) => element("tr", {}, ...list.map((name) => element("td", { className: "number" }, palpate.shown(value(name, place))))));
    return element("details", {}, element("summary", {}, "Numbers of all steps"), element("div", { className: "wide" }, element("table", { className: "plain" }, element("thead", {}, head), element("tbody", {}, ...lines))));
  }

  return { show, step, turn: () => shown && shown.turn() };
})();
