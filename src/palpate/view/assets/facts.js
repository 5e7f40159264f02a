"use strict";
// What the run knows of one record: before and after, the other budgets and attacks of the image, and everything else.
palpate.facts = (() => {
  const { element, byId } = palpate;
  const PAIRS = [["clean_prediction", "prediction"], ["clean_score", "score"], ["clean_margin", "margin"], ["clean_disease_score", "disease_score"]];

  // The pictures of a record; in a folder, where not all are, those of the image as stored.
  async function details(record) {
    const { state } = palpate.state, table = palpate.state.current();
    const kind = { attacks: "record", artefacts: "artefact", certificates: "certified" }[state.table];
    const row = table.byKey.get("row").at(record);
    if (!table.ready || table.ready.has(record)) return { ...(await palpate.load(`${kind}-${record}`)), row };
    const missing = "The pictures of this record are not in this folder.";
    const other = palpate.siblings(table, record).find((one) => table.ready.has(one));
    if (other === undefined) return { before: "", after: "", change: "", slices: [], count: 1, marks: {}, why: [missing], ends: [], scale: "", window: "", aspect: 1, start: 0, truth: false, row };
    const near = await palpate.load(`${kind}-${other}`);
    return { ...near, after: "", change: "", marks: {}, ends: [], scale: "", why: [missing], row };
  }

  function pairs(table) {
    const found = PAIRS.slice();
    for (const column of table.columns) {
      const { key } = column;
      if (key.endsWith("-before")) found.push([key, key.replace(/-before$/, "-after")]);
      if (/^before-\d+$/.test(key)) found.push([key, key.replace("before", "after")]);
      if (/^clean_found-\d+$/.test(key)) found.push([key, key.replace("clean_", "")]);
    }
    return found.filter(([before, after]) => table.byKey.has(before) && table.byKey.has(after));
  }

  const bare = (title) => title.replace(/[:,]? (probability |boxes found )?(before|after)$/, (whole, what) => (what ? `: ${what.trim()}` : ""));

  function decision(table, record, used) {
    const body = element("tbody");
    for (const [before, after] of pairs(table)) {
      const [one, other] = [table.byKey.get(before), table.byKey.get(after)];
      used.add(before).add(after);
      const cells = [one, other].map((column) => element("td", { className: column.numeric ? "number" : "" }, column.text(record)));
      if (one.text(record) !== other.text(record)) cells[1].classList.add("changed");
      const truth = /^(?:before|clean_found)-(\d+)$/.exec(before);
      const annotated = truth ? table.byKey.get(`truth-${truth[1]}`) : before === "clean_prediction" ? table.byKey.get("label") : null;
      if (annotated) used.add(annotated.key);
      body.append(element("tr", {}, element("th", { scope: "row" }, bare(one.title)), element("td", { className: annotated && annotated.numeric ? "number" : "" }, annotated ? annotated.text(record) : ""), ...cells));
    }
    if (!body.rows.length) return [];
    const annotated = [...body.rows].some((line) => line.cells[1].textContent);
    if (!annotated) for (const line of body.rows) line.cells[1].remove();
    const words = annotated ? ["", "Annotated", "Before", "After"] : ["", "Before", "After"];
    const side = table.byKey.has("score") ? "number" : "";
    const head = element("tr", {}, ...words.map((text) => element("th", { scope: "col", className: text ? side : "" }, text)));
    return [element("h3", {}, "The model’s result"), element("div", { className: "wide" }, element("table", { className: "plain" }, element("thead", {}, head), body))];
  }

  // The other records of the same image: attacks by budgets, each a way to that record.
  function others(opened, record) {
    const here = palpate.state.state.table, table = palpate.tables.attacks;
    if (here === "artefacts" || !table.count) return [];
    const [attack, eps, verdict] = ["attack", "eps", "verdict"].map((key) => table.byKey.get(key));
    const row = opened.byKey.get("row").at(record);
    const mine = palpate.members(table, row);
    if (!mine.length) return [];
    const head = element("tr", {}, element("th", { scope: "col" }, "Attack"), ...eps.names.map((one) => element("th", { scope: "col", className: "number" }, palpate.shown(one))));
    const body = element("tbody");
    for (const name of attack.names) {
      const line = element("tr", {}, element("th", { scope: "row" }, name));
      for (const level of eps.names) {
        const found = mine.find((one) => attack.at(one) === name && eps.at(one) === level);
        const cell = element("td", { className: "number" });
        if (found !== undefined) {
          const said = verdict.at(found);
          const button = element("button", { type: "button", title: `${name}, budget ${palpate.shown(level)}: ${said}` }, { beaten: "beaten", withstood: "holds" }[said] || "–");
          button.dataset.verdict = said;
          if (here === "attacks" && found === record) button.setAttribute("aria-current", "true");
          button.addEventListener("click", () => (here === "attacks" ? palpate.state.change({ open: found }, "open") : palpate.state.change({ table: "attacks", filters: new Map(), sort: "", down: false, columns: null, open: found, slice: null, page: 0 }, "table")));
          cell.append(button);
        }
        line.append(cell);
      }
      if (line.querySelector("button")) body.append(line);
    }
    return [element("h3", {}, "This image under every attack and budget"), element("div", { className: "wide" }, element("table", { className: "plain matrix" }, element("thead", {}, head), body))];
  }

  function rest(table, record, used) {
    const list = element("dl");
    for (const column of table.columns) {
      if (used.has(column.key)) continue;
      const text = column.text(record);
      if (text === "" || text === "–") continue;
      list.append(element("div", {}, element("dt", { title: column.about }, column.title), element("dd", {}, text)));
    }
    return element("details", {}, element("summary", {}, "All that is recorded"), list);
  }

  async function show(record) {
    const table = palpate.state.current(), get = (key) => (table.byKey.has(key) ? table.byKey.get(key).text(record) : "");
    const unit = palpate.run.unit ? ` ${palpate.run.unit}` : "";
    const what = { attacks: () => `${get("attack")} at budget ${get("eps")}${unit}`, artefacts: () => `${get("artefact")}, ${get("kind")}`, certificates: () => `certificate with noise of sigma ${get("sigma")}${unit}` };
    document.querySelector("main").classList.remove("alone");
    byId("hint").hidden = true;
    byId("opened").hidden = false;
    byId("which").textContent = `Image ${get("row")}, ${what[palpate.state.state.table]()}`;
    const verdict = byId("verdict");
    verdict.replaceChildren(element("b", {}, get("verdict")));
    verdict.dataset.verdict = get("verdict");
    if (get("image")) verdict.append(` File: ${get("image")}`);
    const used = new Set(["row", "image", "verdict", "attack", "eps"]);
    byId("facts").replaceChildren(...decision(table, record, used), ...others(table, record), rest(table, record, used));
    palpate.trace.show(table, record);
    palpate.certificate.show(table, record);
    try {
      const found = await details(record);
      if (palpate.state.state.open === record) palpate.stage.show(found);
    } catch {
      palpate.stage.clear();
      byId("stage").replaceChildren(element("p", { className: "lost" }, "The pictures cannot be loaded. Is palpate view still running?"));
    }
  }

  function hide() {
    document.querySelector("main").classList.add("alone");
    byId("hint").hidden = false;
    byId("opened").hidden = true;
    palpate.stage.clear();
  }

  return { show, hide, details };
})();
