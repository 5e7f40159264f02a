"use strict";
// The list: a table of which only the visible rows exist, or pages of pictures; and the same as CSV.
palpate.list = (() => {
  const { element, byId } = palpate;
  const HEIGHT = 34, SPARE = 8, PAGE = 48;
  // Browsers cannot scroll further than this; more records need a filter.
  const MOST = 900000;
  let order = new Uint32Array(0);
  let active = 0;
  let shownColumns = [];

  function sorted(records) {
    const { sort, down } = palpate.state.state;
    if (!sort) return records;
    const column = palpate.state.current().byKey.get(sort);
    const sign = down ? -1 : 1;
    // Undefined values come last in both directions; equal ones keep their order.
    return records.slice().sort((one, other) => {
      const a = column.code(one), b = column.code(other);
      if (a !== a || b !== b) return (a !== a) - (b !== b) || one - other;
      return sign * (a - b) || one - other;
    });
  }

  function columns() {
    const { state, current } = palpate.state;
    const all = current().columns.filter(palpate.filters.visiblePart);
    const filtered = (one) => state.filters.has(one.key) || one.key === state.sort;
    if (state.columns) return all.filter((one) => state.columns.has(one.key) || filtered(one));
    return all.filter((one) => one.initially || filtered(one) || (state.part !== "" && one.part !== null));
  }

  function update() {
    const table = palpate.state.current();
    order = sorted(palpate.filters.passing(table));
    active = Math.max(0, order.indexOf(palpate.state.state.open));
    const listed = order.length === table.count ? "" : ` of ${table.count.toLocaleString("en")}`;
    byId("count").textContent = `${order.length.toLocaleString("en")}${listed} records${order.length > MOST ? `; the first ${MOST.toLocaleString("en")} are listed, filter to see others` : ""}. Choose one to see its image.`;
    render();
  }

  function render() {
    const pictures = palpate.state.state.mode === "pictures";
    byId("scroll").hidden = pictures;
    byId("grid").hidden = byId("pages").hidden = !pictures;
    if (pictures) return grid();
    head();
    return rows();
  }

  function head() {
    const { state } = palpate.state;
    shownColumns = columns();
    const line = element("tr");
    for (const column of shownColumns) {
      const button = element("button", { type: "button", title: column.about }, column.title);
      button.addEventListener("click", () => {
        const same = state.sort === column.key;
        palpate.state.change({ sort: same && state.down ? "" : column.key, down: same && !state.down, page: 0 }, "sort");
        const again = byId("table").querySelectorAll("thead button")[shownColumns.indexOf(column)];
        if (again) again.focus();
      });
      const cell = element("th", { scope: "col", className: column.numeric ? "number" : "" }, button);
      cell.setAttribute("aria-sort", state.sort !== column.key ? "none" : state.down ? "descending" : "ascending");
      line.append(cell);
    }
    byId("table").tHead.replaceChildren(line);
    byId("table").setAttribute("aria-rowcount", String(order.length + 1));
  }

  function rows() {
    const box = byId("scroll"), body = byId("table").tBodies[0];
    const count = Math.min(order.length, MOST);
    const first = Math.max(0, Math.floor(box.scrollTop / HEIGHT) - SPARE);
    const last = Math.min(count, Math.ceil((box.scrollTop + box.clientHeight) / HEIGHT) + SPARE);
    const focused = body.contains(document.activeElement);
    const made = [space(first)];
    for (let place = first; place < last; place += 1) made.push(row(place));
    made.push(space(count - last));
    body.replaceChildren(...made);
    if (focused) focus();
  }

  function space(count) {
    const cell = element("td", { colSpan: Math.max(1, shownColumns.length) });
    cell.style.height = `${Math.max(0, count) * HEIGHT}px`;
    const line = element("tr", { className: "space", hidden: count <= 0 }, cell);
    line.setAttribute("aria-hidden", "true");
    return line;
  }

  function row(place) {
    const record = order[place], open = palpate.state.state.open === record;
    const line = element("tr", { tabIndex: place === active ? 0 : -1, className: open ? "open" : "" });
    line.setAttribute("aria-rowindex", String(place + 2));
    if (open) line.setAttribute("aria-current", "true");
    line.dataset.place = String(place);
    for (const column of shownColumns) {
      const cell = element("td", { className: column.numeric ? "number" : "" }, element("span", {}, column.text(record)));
      if (column.key === "verdict") cell.dataset.verdict = column.at(record);
      line.append(cell);
    }
    return line;
  }

  function focus() {
    const line = byId("table").querySelector(`tr[data-place="${active}"]`);
    if (line) line.focus({ preventScroll: true });
  }

  function reveal(place) {
    const box = byId("scroll"), top = byId("table").tHead.offsetHeight;
    const above = place * HEIGHT, below = above + HEIGHT + top - box.clientHeight;
    if (box.scrollTop > above) box.scrollTop = above;
    else if (box.scrollTop < below) box.scrollTop = below;
  }

  function move(steps, open) {
    if (!order.length) return;
    active = Math.min(order.length - 1, Math.max(0, active + steps));
    if (palpate.state.state.mode === "table") {
      reveal(active);
      rows();
    } else if (Math.floor(active / PAGE) !== palpate.state.state.page) palpate.state.change({ page: Math.floor(active / PAGE) }, "page");
    if (open) palpate.state.change({ open: order[active], slice: null }, "open");
    else focus();
  }

  function grid() {
    const { state } = palpate.state;
    const pages = Math.max(1, Math.ceil(order.length / PAGE));
    const page = Math.min(state.page, pages - 1);
    const cards = [...order.subarray(page * PAGE, (page + 1) * PAGE)].map((record) => card(record));
    byId("grid").replaceChildren(...cards);
    const step = (label, to) => {
      const button = element("button", { type: "button", disabled: to < 0 || to >= pages }, label);
      button.addEventListener("click", () => palpate.state.change({ page: to }, "page"));
      return button;
    };
    byId("pages").replaceChildren(step("← Earlier", page - 1), element("span", {}, `Page ${page + 1} of ${pages}`), step("Later →", page + 1));
  }

  function card(record) {
    const table = palpate.state.current(), get = (key) => (table.byKey.has(key) ? table.byKey.get(key).text(record) : "");
    const after = get("prediction") || (get("score") ? `score ${get("score")}` : "");
    const words = state_words(get);
    const button = element("button", { type: "button", className: "card" });
    const frame = element("span", { className: "thumb" });
    button.append(frame, element("b", {}, `Image ${get("row")}`), element("span", {}, words), element("span", { className: "mark" }, [get("verdict"), after].filter(Boolean).join(", ")));
    button.querySelector(".mark").dataset.verdict = table.byKey.get("verdict").at(record);
    button.addEventListener("click", () => palpate.state.change({ open: record, slice: null }, "open"));
    palpate.facts.details(record).then((details) => {
      const name = details.after || details.before;
      if (!name) return frame.append(element("i", {}, "no picture"));
      const image = element("img", { alt: "", loading: "lazy", src: `${name}${details.start}.png` });
      frame.append(image);
      if (!details.after) frame.append(element("i", {}, "as stored"));
      return image;
    }, () => frame.append(element("i", {}, "no picture here")));
    return button;
  }

  function state_words(get) {
    if (get("attack")) return `${get("attack")}, budget ${get("eps")}`;
    if (get("artefact")) return `${get("artefact")}, ${get("kind")}, severity ${get("severity")}`;
    return `sigma ${get("sigma")}, certified up to ${get("certified")}`;
  }

  // A cell that a spreadsheet would take for a formula gets a mark in front; numbers stay numbers.
  function cell(value) {
    if (typeof value === "number") return Number.isFinite(value) ? String(Number(value.toPrecision(7))) : "";
    const text = /^[\s]*[=+\-@|]/.test(value) ? `'${value}` : value;
    return `"${text.replaceAll('"', '""')}"`;
  }

  function csv() {
    const all = palpate.state.current().columns;
    const lines = [all.map((one) => cell(one.title)).join(",")];
    // A text that occurs often is written once.
    const makers = all.map((one) => {
      const texts = one.choice ? one.names.map(cell) : null;
      return texts ? (record) => texts[one.code(record)] : (record) => cell(one.code(record));
    });
    for (const record of order) lines.push(makers.map((make) => make(record)).join(","));
    return `\ufeff${lines.join("\r\n")}\r\n`;
  }

  function download() {
    const address = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
    const link = element("a", { href: address, download: `${palpate.state.state.table}.csv` });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
  }

  function follow() {
    const place = order.indexOf(palpate.state.state.open);
    if (place >= 0) active = place;
    if (palpate.state.state.mode === "table") {
      if (place >= 0) reveal(place);
      rows();
    }
  }

  function start() {
    let due = false;
    byId("scroll").addEventListener("scroll", () => {
      if (due) return;
      due = true;
      requestAnimationFrame(() => {
        due = false;
        rows();
      });
    });
    new ResizeObserver(() => palpate.state.state.mode === "table" && rows()).observe(byId("scroll"));
    byId("table").tBodies[0].addEventListener("click", (event) => {
      const line = event.target.closest("tr[data-place]");
      if (!line) return;
      active = Number(line.dataset.place);
      palpate.state.change({ open: order[active], slice: null }, "open");
      focus();
    });
    byId("csv").addEventListener("click", download);
  }

  return { start, update, render, move, follow, csv, columns, order: () => order };
})();
