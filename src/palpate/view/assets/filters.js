"use strict";
// One field for each filter: a choice, a part of a text, or a range of numbers.
palpate.filters = (() => {
  const { element, byId } = palpate;
  const FIRST = ["attack", "artefact", "kind", "eps", "verdict", "label", "prediction", "site", "scanner", "kept", "sigma", "certified"];
  const MANY = 300;
  let more = new Set();
  let built = "";

  function kind(column) {
    if (!column.choice) return "range";
    return column.names.length > MANY ? (column.numeric ? "range" : "text") : "choice";
  }

  function offered(table) {
    const usual = table.columns.filter((one) => FIRST.includes(one.key) && (!one.choice || one.names.length > 1));
    const active = table.columns.filter((one) => palpate.state.state.filters.has(one.key) || more.has(one.key));
    return table.columns.filter((one) => usual.includes(one) || active.includes(one));
  }

  function set(key, values) {
    const filters = new Map(palpate.state.state.filters);
    const filter = { ...filters.get(key), ...values };
    for (const name of Object.keys(filter)) if (filter[name] === undefined || filter[name] === "") delete filter[name];
    if (Object.keys(filter).length) filters.set(key, filter);
    else filters.delete(key);
    palpate.state.change({ filters, page: 0 }, "filter");
  }

  function field(column) {
    const filter = palpate.state.state.filters.get(column.key) || {};
    const box = element("label", { className: "field", title: column.about });
    box.append(element("span", {}, column.title));
    const how = kind(column);
    if (how === "choice") {
      const select = element("select", { name: column.key });
      select.append(element("option", { value: "" }, "all"));
      column.names.forEach((name) => select.append(element("option", { value: `=${name}` }, name === "" ? "(empty)" : palpate.shown(name))));
      select.value = filter.is === undefined ? "" : `=${filter.is}`;
      select.addEventListener("change", () => set(column.key, { is: select.value === "" ? undefined : select.value.slice(1), keep: undefined }));
      box.append(select);
    } else if (how === "text") {
      const input = element("input", { type: "search", name: column.key, value: filter.has || "", placeholder: "contains" });
      input.addEventListener("input", () => set(column.key, { has: input.value || undefined }));
      box.append(input);
    } else {
      const pair = element("span", { className: "pair" });
      for (const [end, word] of [["least", "from"], ["most", "to"]]) {
        const input = element("input", { type: "number", step: "any", name: `${column.key}-${end}`, placeholder: word, value: filter[end] === undefined ? "" : String(filter[end]) });
        input.setAttribute("aria-label", `${column.title}, ${word}`);
        input.addEventListener("input", () => set(column.key, { [end]: input.value === "" ? undefined : Number(input.value) }));
        pair.append(input);
      }
      box.append(pair);
    }
    return box;
  }

  function render() {
    const { state } = palpate.state;
    const table = palpate.state.current();
    const columns = offered(table);
    byId("active").textContent = state.filters.size ? `(${state.filters.size} active)` : "";
    // A field that is typed into stays the same element.
    const wanted = [state.table, state.part, ...columns.map((one) => one.key)].join("\n");
    if (wanted === built && document.activeElement && byId("filters").contains(document.activeElement)) return;
    built = wanted;
    const form = byId("filters");
    form.replaceChildren();
    if (palpate.run.parts.length && table.columns.some((one) => one.part !== null)) form.append(partField());
    for (const column of columns) form.append(field(column));
    const rest = table.columns.filter((one) => !columns.includes(one) && visiblePart(one));
    if (rest.length) {
      const select = element("select", { name: "more" }, element("option", { value: "" }, "choose …"));
      rest.forEach((one) => select.append(element("option", { value: one.key }, one.title)));
      select.addEventListener("change", () => {
        const key = select.value;
        more.add(key);
        built = "";
        render();
        const added = [...byId("filters").elements].find((one) => one.name === key || one.name === `${key}-least`);
        if (added) added.focus();
      });
      form.append(element("label", { className: "field" }, element("span", {}, "Filter by another column"), select));
    }
    const clear = element("button", { type: "button", id: "clear", disabled: !state.filters.size }, "Clear");
    clear.addEventListener("click", () => {
      more = new Set();
      built = "";
      palpate.state.change({ filters: new Map(), page: 0 }, "filter");
    });
    form.append(clear);
  }

  function partField() {
    const { state } = palpate.state;
    const word = palpate.run.partWord;
    const select = element("select", { name: "part" }, element("option", { value: "" }, "none"));
    palpate.run.parts.forEach((name, place) => select.append(element("option", { value: String(place) }, name)));
    select.value = state.part;
    select.addEventListener("change", () => palpate.state.change({ part: select.value, page: 0 }, "columns"));
    return element("label", { className: "field", title: "Its figures become columns that can be filtered and sorted." },
      element("span", {}, `Columns of a ${word}`), select);
  }

  const visiblePart = (column) => column.part === null || String(column.part) === palpate.state.state.part;

  // The records that pass all filters.
  function passing(table) {
    const tests = [];
    for (const [key, filter] of palpate.state.state.filters) {
      const column = table.byKey.get(key);
      if (filter.is !== undefined) {
        const code = column.names.findIndex((name) => String(name) === filter.is);
        tests.push((record) => column.code(record) === code);
      }
      if (filter.has !== undefined) {
        const wanted = filter.has.toLowerCase();
        const right = column.names.map((name) => String(name).toLowerCase().includes(wanted));
        tests.push((record) => right[column.code(record)]);
      }
      // A value that is not defined is in no range.
      if (filter.least !== undefined) tests.push((record) => column.at(record) >= filter.least);
      if (filter.most !== undefined) tests.push((record) => column.at(record) <= filter.most);
    }
    const found = new Uint32Array(table.count);
    let count = 0;
    for (let record = 0; record < table.count; record += 1) {
      if (tests.every((test) => test(record))) found[count++] = record;
    }
    return found.subarray(0, count);
  }

  return { render, passing, visiblePart };
})();
