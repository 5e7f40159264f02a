"use strict";
// The keyboard. Letters count only outside of fields.
palpate.keys = (() => {
  const { byId } = palpate;
  const VIEWS = { b: "before", a: "after", d: "change", s: "side", o: "overlay", 1: "before", 2: "after", 3: "change", 4: "side", 5: "overlay" };
  const PAN = { ArrowLeft: [0.1, 0], ArrowRight: [-0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] };

  function help(open) {
    const dialog = byId("help");
    if (open && !dialog.open) dialog.showModal();
    else if (!open && dialog.open) dialog.close();
  }

  function close() {
    palpate.state.change({ open: null, slice: null }, "close");
    palpate.list.move(0, false);
  }

  function act(event) {
    const { key } = event, { state } = palpate.state;
    const field = event.target.closest("input, select, textarea"), inTable = event.target.closest("tbody tr");
    if (byId("help").open) return key === "?" ? (help(false), true) : false;
    if (event.ctrlKey || event.metaKey || event.altKey) return false;
    if (field) return false;
    if (event.shiftKey && PAN[key]) return state.open !== null && (palpate.stage.pan(...PAN[key]), true);
    if (key === "?") return help(true), true;
    if (key === "/") {
      byId("filters-box").open = true;
      const first = byId("filters").querySelector("select, input");
      return first && (first.focus(), true);
    }
    if (inTable || event.target.id === "scroll") {
      const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15, Home: -1e9, End: 1e9 }[key];
      if (steps) return palpate.list.move(steps, false), true;
      if (key === "Enter" || key === " ") return inTable && (inTable.click(), true);
    }
    if (key === "ArrowRight" || key === "ArrowLeft") return palpate.list.move(key === "ArrowRight" ? 1 : -1, true), true;
    if (state.open === null) return false;
    if (Object.hasOwn(VIEWS, key.toLowerCase())) return palpate.state.change({ view: VIEWS[key.toLowerCase()] }, "view"), true;
    if (key === "]" || key === "PageDown") return palpate.stage.step(1), true;
    if (key === "[" || key === "PageUp") return palpate.stage.step(-1), true;
    if (key === "+" || key === "=") return palpate.stage.zoom(1.5), true;
    if (key === "-") return palpate.stage.zoom(1 / 1.5), true;
    if (key === "0") return palpate.stage.fit(), true;
    if (key.toLowerCase() === "m") return palpate.stage.toggleMarks(), true;
    if (key === "," || key === ".") return palpate.trace.step(key === "." ? 1 : -1), true;
    if (key.toLowerCase() === "t") return palpate.trace.turn(), true;
    if (key.toLowerCase() === "l") return byId("link").click(), true;
    if (key === "Escape") return close(), true;
    return false;
  }

  function start() {
    document.addEventListener("keydown", (event) => {
      if (act(event)) event.preventDefault();
    });
    byId("help-open").addEventListener("click", () => help(true));
    byId("help-close").addEventListener("click", () => help(false));
    byId("close").addEventListener("click", close);
    byId("previous").addEventListener("click", () => palpate.list.move(-1, true));
    byId("next").addEventListener("click", () => palpate.list.move(1, true));
  }

  return { start };
})();
