"use strict";
// The page as a whole: it starts when the records are there, and follows what is chosen.
(() => {
  const { element, byId, state } = palpate;

  function top() {
    const { run } = palpate;
    document.title = `palpate view: ${run.title}`;
    byId("title").textContent = run.title;
    byId("status").textContent = run.status === "finished" ? `palpate ${run.palpate}` : "this run is not finished; the page shows what was there when it was opened";
    byId("said").replaceChildren(...run.said.map((text) => element("p", {}, text)));
  }

  function group(box, entries, current, choose) {
    byId(box).replaceChildren(...entries.map(([value, text]) => {
      const button = element("button", { type: "button" }, text);
      button.setAttribute("aria-pressed", String(value === current));
      button.addEventListener("click", () => choose(value));
      return button;
    }));
  }

  function bars() {
    const now = state.state, tables = Object.entries(palpate.tables);
    const names = { attacks: "Attacks", artefacts: "Artefacts", certificates: "Certificates" };
    byId("tabs").hidden = tables.length < 2;
    group("tabs", tables.map(([name]) => [name, names[name]]), now.table, (table) => state.change({ table, filters: new Map(), sort: "", columns: null, open: null, slice: null, page: 0 }, "table"));
    group("modes", [["table", "Table"], ["pictures", "Pictures"]], now.mode, (mode) => state.change({ mode }, "mode"));
  }

  function chooser() {
    const visible = new Set(palpate.list.columns().map((one) => one.key));
    byId("columns").replaceChildren(...state.current().columns.filter(palpate.filters.visiblePart).map((column) => {
      const check = element("input", { type: "checkbox", checked: visible.has(column.key) });
      check.addEventListener("change", () => {
        const columns = new Set(palpate.list.columns().map((one) => one.key));
        if (check.checked) columns.add(column.key);
        else columns.delete(column.key);
        state.change({ columns }, "columns");
      });
      return element("label", { title: column.about }, check, ` ${column.title}`);
    }));
  }

  function everything() {
    bars();
    palpate.filters.render();
    palpate.list.update();
    chooser();
    if (state.state.open === null) palpate.facts.hide();
    else {
      palpate.list.follow();
      palpate.facts.show(state.state.open);
    }
  }

  function follow(what) {
    if (what === "place") return palpate.stage.place();
    if (["view", "slice", "marks"].includes(what)) return palpate.stage.draw();
    if (what === "page") return palpate.list.render();
    if (what === "open") {
      palpate.list.follow();
      const narrow = matchMedia("(max-width: 999px)").matches;
      if (narrow) byId("viewer").scrollIntoView();
      return palpate.facts.show(state.state.open);
    }
    if (what === "close") {
      palpate.list.follow();
      return palpate.facts.hide();
    }
    if (what === "table") return everything();
    bars();
    palpate.filters.render();
    palpate.list.update();
    return chooser();
  }

  function link() {
    state.write();
    const done = () => {
      byId("link").textContent = "Copied";
      setTimeout(() => { byId("link").textContent = "Copy link"; }, 1500);
    };
    // A page on the disk may not use the clipboard; the address bar has the same text.
    if (navigator.clipboard) navigator.clipboard.writeText(location.href).then(done, () => {});
  }

  palpate.load("run").then((run) => {
    palpate.run = run;
    palpate.tables = Object.fromEntries(Object.entries(run.tables).map(([name, one]) => [name, palpate.table(one)]));
    state.read();
    top();
    palpate.list.start();
    palpate.stage.start();
    palpate.keys.start();
    state.listen(follow);
    byId("link").addEventListener("click", link);
    byId("skip").addEventListener("click", (event) => {
      event.preventDefault();
      byId("viewer").focus();
    });
    byId("filters").addEventListener("submit", (event) => event.preventDefault());
    window.addEventListener("hashchange", () => {
      state.read();
      everything();
    });
    if (matchMedia("(max-width: 999px)").matches) byId("filters-box").open = false;
    everything();
    document.body.dataset.ready = "yes";
  }, () => {
    byId("title").textContent = "The records cannot be loaded. Is palpate view still running?";
  });
})();
