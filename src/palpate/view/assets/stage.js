"use strict";
// The pictures of a record: one, two side by side, or one over the other; moved and enlarged together.
palpate.stage = (() => {
  const { element, byId } = palpate;
  const SVG = "http://www.w3.org/2000/svg";
  const CAPTIONS = { before: "Before, as stored", after: "After, synthetic", change: "Difference" };
  let details = null;
  let panes = [];
  let truths = {};

  function planned() {
    const { view } = palpate.state.state;
    const has = { before: details.before, after: details.after, change: details.change };
    const wanted = { before: ["before"], after: ["after"], change: ["change"], side: ["before", "after"], overlay: ["before", "after"] }[view];
    const there = wanted.filter((one) => has[one]);
    return there.length ? there : ["after", "before"].filter((one) => has[one]).slice(0, 1);
  }

  function show(found) {
    details = found;
    truths = {};
    draw();
  }

  function slice() {
    const wanted = palpate.state.state.slice;
    return details.slices.includes(wanted) ? wanted : details.slices.includes(details.start) ? details.start : details.slices[0];
  }

  function draw() {
    if (!details) return;
    const { state } = palpate.state;
    const names = planned(), stage = byId("stage"), index = slice();
    const overlay = state.view === "overlay" && names.length === 2;
    stage.replaceChildren();
    panes = [];
    for (const group of overlay ? [names] : names.map((name) => [name])) {
      const content = element("div", { className: "content" });
      for (const name of group) {
        const image = element("img", { className: name, alt: alt(name, index), draggable: false });
        image.src = `${details[name]}${index}.png`;
        image.addEventListener("error", () => content.replaceChildren(element("p", { className: "lost" }, "This picture cannot be read.")));
        content.append(image);
      }
      content.append(shapes(group, index));
      const pane = element("div", { className: "pane" }, content);
      const caption = overlay ? "Before and after, one over the other" : CAPTIONS[group[0]];
      stage.append(element("figure", {}, pane, element("figcaption", {}, caption)));
      panes.push({ pane, content });
    }
    if (!names.length) stage.append(element("p", { className: "lost" }, "No picture of this record is at hand."));
    controls(index, overlay, names);
    place();
  }

  function alt(name, index) {
    const where = details.count > 1 ? `, slice ${index + 1} of ${details.count}` : "";
    return `${CAPTIONS[name]}${where}`;
  }

  function controls(index, overlay, names) {
    const { state } = palpate.state;
    byId("views").querySelectorAll("button").forEach((button) => {
      const instead = names.length === 1 ? names[0] : state.view;
      button.setAttribute("aria-pressed", String(button.dataset.view === instead));
      const needs = { before: ["before"], after: ["after"], change: ["change"], side: ["before", "after"], overlay: ["before", "after"] }[button.dataset.view];
      button.disabled = !needs.every((one) => details[one]);
    });
    byId("slice-box").hidden = details.count < 2;
    const slider = byId("slice"), place = details.slices.indexOf(index);
    slider.max = String(Math.max(0, details.slices.length - 1));
    slider.value = String(place);
    const said = details.count > 1 ? `${index + 1} of ${details.count}, along axis ${details.axis}` : "";
    slider.setAttribute("aria-valuetext", said);
    byId("slice-said").textContent = said;
    byId("blend-box").hidden = !overlay;
    byId("blend").value = String(state.blend);
    byId("scale").hidden = !names.includes("change");
    byId("scale-said").textContent = details.scale;
    byId("ends").replaceChildren(...details.ends.map((text) => element("span", {}, text)));
    byId("window").textContent = names.some((one) => one !== "change") ? details.window : "";
    byId("why").replaceChildren(...details.why.map((text) => element("li", {}, text)));
    stageLegend(index);
  }

  function kinds(index) {
    const marks = { ...(details.marks[index] || {}) };
    if (truths[index] && !(marks.truth && marks.truth.length)) marks.truth = truths[index];
    return marks;
  }

  // Shapes of the annotation are dashed; those that the model found before or after are whole lines.
  function shapes(group, index) {
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", "0 0 1 1");
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("aria-hidden", "true");
    const marks = kinds(index), after = group.includes("after") || group.includes("change");
    const truth = group[0] === "before" && marks.truthBefore ? marks.truthBefore : marks.truth;
    const layers = [["truth", truth || []], ["found", (after ? marks.after : marks.before) || []]];
    for (const [by, list] of layers) {
      for (const mark of list) {
        if (palpate.state.state.hidden.has(by) || palpate.state.state.hidden.has(`part-${mark.part}`)) continue;
        let points = mark.points;
        if (mark.kind === "box") {
          const [[left, top], [right, bottom]] = points;
          points = [[left, top], [right, top], [right, bottom], [left, bottom]];
        }
        const path = document.createElementNS(SVG, "path");
        path.setAttribute("d", `M${points.map(([x, y]) => `${Number(x)} ${Number(y)}`).join("L")}Z`);
        path.setAttribute("class", `${by} part-${mark.part % 8}`);
        const title = document.createElementNS(SVG, "title");
        title.textContent = `${palpate.run.parts[mark.part] || ""} ${by === "truth" ? "annotated" : "found"}${mark.score === null || mark.score === undefined ? "" : `, confidence ${mark.score.toFixed(2)}`}`;
        path.append(title);
        svg.append(path);
      }
    }
    return svg;
  }

  function stageLegend(index) {
    const box = byId("marks-box"), marks = kinds(index);
    const all = [...(marks.truth || []), ...(marks.before || []), ...(marks.after || [])];
    const parts = [...new Set(all.map((one) => one.part))].sort((a, b) => a - b).slice(0, 12);
    const toggles = all.length ? [["truth", "annotated (dashed)", ""], ["found", "found by the model", ""], ...parts.map((part) => [`part-${part}`, palpate.run.parts[part] || `part ${part}`, `part-${part % 8}`])] : [];
    box.replaceChildren(...toggles.map(([key, text, look]) => {
      const check = element("input", { type: "checkbox", checked: !palpate.state.state.hidden.has(key) });
      check.addEventListener("change", () => {
        const hidden = new Set(palpate.state.state.hidden);
        if (check.checked) hidden.delete(key);
        else hidden.add(key);
        palpate.state.change({ hidden }, "marks");
      });
      return element("label", {}, check, ...(look ? [element("i", { className: `swatch ${look}` })] : []), ` ${text}`);
    }));
    if (details.truth && !truths[index]) {
      const mine = details;
      palpate.load(`truth-${details.row}-${index}`).then((found) => {
        if (mine !== details) return;
        truths[index] = found;
        if (found.length && slice() === index) draw();
      }, () => {});
    }
  }

  // The largest size that fits, with pixels as wide and high as they are in mm; then the reader's zoom and place.
  function place() {
    const { zoom, x, y, blend, view } = palpate.state.state;
    for (const { pane, content } of panes) {
      const aspect = details.aspect || 1;
      const wide = pane.clientWidth, high = Math.round(Math.min(innerHeight * 0.56, wide / aspect));
      pane.style.height = `${high}px`;
      const width = Math.min(wide, high * aspect), height = width / aspect;
      content.style.width = `${width}px`;
      content.style.height = `${height}px`;
      content.style.transform = `translate(${(wide - width) / 2 + x * width}px, ${(high - height) / 2 + y * height}px) translate(${width / 2}px, ${height / 2}px) scale(${zoom}) translate(${-width / 2}px, ${-height / 2}px)`;
      content.classList.toggle("pixels", zoom >= 3 || width > 3 * (content.querySelector("img")?.naturalWidth || width));
      const top = content.querySelector("img.after");
      if (top) top.style.opacity = view === "overlay" && panes.length === 1 ? String(blend / 100) : "1";
    }
    // A finger scrolls the page until the picture is larger than its frame.
    byId("stage").style.touchAction = zoom > 1 ? "none" : "pan-y";
    byId("zoom-said").textContent = `${Math.round(zoom * 100)}%`;
  }

  function zoom(factor) {
    const { state } = palpate.state;
    const now = Math.min(32, Math.max(1, state.zoom * factor));
    const share = now / state.zoom;
    move(now, now === 1 ? 0 : state.x * share, now === 1 ? 0 : state.y * share);
  }

  function move(now, x, y) {
    const most = now / 2;
    const within = (value) => Math.min(most, Math.max(-most, value));
    palpate.state.change({ zoom: now, x: within(x), y: within(y) }, "place");
  }

  function pan(x, y) {
    const { state } = palpate.state;
    move(state.zoom, state.x + x, state.y + y);
  }

  function step(count) {
    if (!details || details.slices.length < 2) return;
    const now = details.slices.indexOf(slice());
    const wanted = Math.min(details.slices.length - 1, Math.max(0, now + count));
    palpate.state.change({ slice: details.slices[wanted] }, "slice");
  }

  function start() {
    const stage = byId("stage"), pointers = new Map();
    let apart = 0;
    const drag = (event) => {
      if (!pointers.has(event.pointerId)) return;
      const was = pointers.get(event.pointerId);
      pointers.set(event.pointerId, [event.clientX, event.clientY]);
      const size = panes.length ? panes[0].content.offsetWidth : 1, high = panes.length ? panes[0].content.offsetHeight : 1;
      if (pointers.size === 1) pan((event.clientX - was[0]) / size, (event.clientY - was[1]) / high);
      else {
        const [one, other] = [...pointers.values()];
        const now = Math.hypot(one[0] - other[0], one[1] - other[1]);
        if (apart) zoom(now / apart);
        apart = now;
      }
    };
    stage.addEventListener("pointerdown", (event) => {
      pointers.set(event.pointerId, [event.clientX, event.clientY]);
      apart = 0;
      stage.setPointerCapture(event.pointerId);
    });
    stage.addEventListener("pointermove", drag);
    for (const end of ["pointerup", "pointercancel"]) stage.addEventListener(end, (event) => pointers.delete(event.pointerId));
    stage.addEventListener("dblclick", () => zoom(2));
    // The wheel scrolls the page until the pictures have the focus.
    stage.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && document.activeElement !== stage) return;
      event.preventDefault();
      if (details && details.slices.length > 1 && !event.ctrlKey) step(Math.sign(event.deltaY));
      else zoom(event.deltaY < 0 ? 1.2 : 1 / 1.2);
    }, { passive: false });
    new ResizeObserver(() => details && place()).observe(stage);
    byId("slice").addEventListener("input", (event) => palpate.state.change({ slice: details.slices[Number(event.target.value)] }, "slice"));
    byId("blend").addEventListener("input", (event) => palpate.state.change({ blend: Number(event.target.value) }, "place"));
    byId("zoom-in").addEventListener("click", () => zoom(1.5));
    byId("zoom-out").addEventListener("click", () => zoom(1 / 1.5));
    byId("zoom-reset").addEventListener("click", () => move(1, 0, 0));
    const views = [["before", "Before", "B"], ["after", "After", "A"], ["change", "Difference", "D"], ["side", "Side by side", "S"], ["overlay", "Overlay", "O"]];
    for (const [view, text, key] of views) {
      const button = element("button", { type: "button", title: `${text} (${key})` }, text);
      button.dataset.view = view;
      button.setAttribute("aria-keyshortcuts", key);
      button.addEventListener("click", () => palpate.state.change({ view }, "view"));
      byId("views").append(button);
    }
  }

  function toggleMarks() {
    const hidden = new Set(palpate.state.state.hidden);
    const all = hidden.has("truth") && hidden.has("found");
    for (const key of ["truth", "found"]) all ? hidden.delete(key) : hidden.add(key);
    palpate.state.change({ hidden }, "marks");
  }

  return { start, show, draw, place, zoom, pan, step, toggleMarks, fit: () => move(1, 0, 0), clear: () => { details = null; } };
})();
