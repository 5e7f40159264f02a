"use strict";
// What is looked at. All of it is in the address after `#`, so that a link restores it.
palpate.state = (() => {
  const VIEWS = ["before", "after", "change", "side", "overlay"];
  const state = {
    table: "attacks", mode: "table", filters: new Map(), sort: "", down: false, part: "", columns: null,
    open: null, view: "side", slice: null, zoom: 1, x: 0, y: 0, blend: 50, hidden: new Set(), page: 0,
  };
  const listeners = [];
  let current = null;

  const number = (text, otherwise) => (text !== null && text !== "" && Number.isFinite(Number(text)) ? Number(text) : otherwise);

  function write() {
    const query = new URLSearchParams();
    if (state.table !== "attacks") query.set("table", state.table);
    if (state.mode !== "table") query.set("mode", state.mode);
    for (const [key, filter] of state.filters) {
      if (filter.is !== undefined) query.append(`is.${key}`, filter.is);
      if (filter.has !== undefined) query.append(`has.${key}`, filter.has);
      if (filter.least !== undefined) query.append(`least.${key}`, filter.least);
      if (filter.most !== undefined) query.append(`most.${key}`, filter.most);
    }
    if (state.sort) query.set("sort", (state.down ? "-" : "") + state.sort);
    if (state.part !== "") query.set("part", state.part);
    if (state.columns) query.set("columns", [...state.columns].join(" "));
    if (state.page) query.set("page", state.page);
    if (state.open !== null) {
      query.set("open", named(state.open));
      query.set("view", state.view);
      if (state.slice !== null) query.set("slice", state.slice);
      if (state.view === "overlay") query.set("blend", state.blend);
      if (state.hidden.size) query.set("hidden", [...state.hidden].join(" "));
      if (state.zoom !== 1) {
        query.set("zoom", state.zoom.toFixed(2));
        query.set("at", `${state.x.toFixed(3)} ${state.y.toFixed(3)}`);
      }
    }
    const text = `#${query}`;
    if (text !== location.hash) history.replaceState(null, "", text);
  }

  function read() {
    const query = new URLSearchParams(location.hash.slice(1));
    const tables = palpate.tables;
    state.table = Object.hasOwn(tables, query.get("table") || "") ? query.get("table") : "attacks";
    current = tables[state.table];
    state.mode = query.get("mode") === "pictures" ? "pictures" : "table";
    state.filters = new Map();
    for (const [name, value] of query) {
      const found = /^(is|has|least|most)\.(.+)$/s.exec(name);
      if (!found || !current.byKey.has(found[2])) continue;
      const numeric = found[1] === "least" || found[1] === "most";
      if (numeric && number(value, null) === null) continue;
      const filter = state.filters.get(found[2]) || {};
      filter[found[1]] = numeric ? Number(value) : value;
      state.filters.set(found[2], filter);
    }
    const sort = query.get("sort") || "";
    state.down = sort.startsWith("-");
    state.sort = current.byKey.has(sort.replace(/^-/, "")) ? sort.replace(/^-/, "") : "";
    state.part = query.get("part") || "";
    const columns = query.get("columns");
    state.columns = columns === null ? null : new Set(columns.split(" ").filter((key) => current.byKey.has(key)));
    state.page = Math.max(0, Math.floor(number(query.get("page"), 0)));
    state.open = found(query.get("open"));
    state.view = VIEWS.includes(query.get("view")) ? query.get("view") : state.view;
    state.slice = number(query.get("slice"), null);
    state.blend = Math.min(100, Math.max(0, number(query.get("blend"), 50)));
    state.hidden = new Set((query.get("hidden") || "").split(" ").filter(Boolean));
    state.zoom = Math.min(32, Math.max(1, number(query.get("zoom"), 1)));
    const at = (query.get("at") || "").split(" ").map(Number);
    [state.x, state.y] = at.length === 2 && at.every(Number.isFinite) ? at : [0, 0];
  }

  // A record in an address: image, budget and attack, which stay when a run goes on; rows of artefacts by their place.
  function named(record) {
    const get = (key) => current.byKey.get(key).at(record);
    return state.table === "attacks" ? `${get("row")}~${get("eps")}~${get("attack")}` : String(record);
  }

  function found(text) {
    if (!text || !current.count) return null;
    if (state.table !== "attacks") return Number(text) < current.count && Number(text) >= 0 ? Math.floor(Number(text)) : null;
    const [row, eps, ...attack] = text.split("~");
    const [rows, levels, attacks] = ["row", "eps", "attack"].map((key) => current.byKey.get(key));
    const codes = [rows.names.indexOf(Number(row)), levels.names.indexOf(Number(eps)), attacks.names.indexOf(attack.join("~"))];
    for (let record = 0; record < current.count; record += 1) {
      if (rows.data[record] === codes[0] && levels.data[record] === codes[1] && attacks.data[record] === codes[2]) return record;
    }
    return null;
  }

  function change(values, what) {
    Object.assign(state, values);
    current = palpate.tables[state.table];
    for (const listener of listeners) listener(what);
    write();
  }

  return {
    state, VIEWS, read, write, change,
    listen: (listener) => listeners.push(listener),
    current: () => current,
  };
})();
