"use strict";
// What is certain of one image: at each L2 length what is certified at least, and what an attack showed at most.
palpate.certificate = (() => {
  const { element, byId } = palpate;

  function show(table, record) {
    const box = byId("certificate");
    box.replaceChildren();
    const row = table.byKey.get("row").at(record);
    if (!palpate.run.certified.includes(row)) return;
    palpate.load(`certificate-${row}`).then((found) => {
      if (palpate.state.state.open !== record || palpate.state.current() !== table) return;
      box.replaceChildren(element("h3", {}, "Certified at least, attacked at most"), ...found.flatMap(one));
      box.append(element("p", { className: "note" }, `${classes() ? "" : `Numbers are ${palpate.run.score}: at least where certified, at most where attacked. `}This is about the smoothed model, which adds noise many times and decides by vote. The attacks of the table of attacks are on the model as given.`));
    }, () => {});
  }

  function one(found) {
    const unit = palpate.run.unit ? ` ${palpate.run.unit}` : "";
    const radius = found.radius === null ? "" : `: radius ${palpate.shown(found.radius)}${unit}`;
    const decision = found.decision ? `, decision ${found.decision}` : "";
    const said = element("p", {}, `Noise of sigma ${palpate.shown(found.sigma)}${unit}: `, element("b", {}, found.verdict), `${radius}${decision}.`);
    const head = element("tr", {}, ...heads().map((text) => element("th", { scope: "col", className: "number" }, text)));
    const { points } = found;
    const body = element("tbody", {}, ...points.radius.map((length, place) => {
      const cells = [bound(points.least_acceptable[place], points.least_score[place], "certain", "not certain"), attacked(points, place), ...(classes() ? [] : [share(points.abstained[place])])];
      return element("tr", {}, element("th", { scope: "row", className: "number" }, length ? palpate.shown(length) : "0, as stored"), ...cells.map((text) => element("td", { className: "number" }, text)));
    }));
    return [said, element("div", { className: "wide" }, element("table", { className: "plain" }, element("thead", {}, head), body))];
  }

  const classes = () => palpate.run.parts.length === 0;
  const heads = () => (classes() ? ["L2 length", "Certified", "Attacked"] : ["L2 length", "Certified", "Attacked", "Abstains"]);

  // Of classes a word; of masks and findings the score too.
  function bound(acceptable, score, yes, no) {
    const word = acceptable ? yes : no;
    return classes() || score === null ? word : `${palpate.shown(score)}, ${word}`;
  }

  function attacked(points, place) {
    if (place && !points.attacked[place] && points.most_acceptable[place]) return "not attacked";
    return bound(points.most_acceptable[place], points.most_score[place], "holds", "falls");
  }

  const share = (value) => (value === null ? "–" : `${palpate.shown(Number((100 * value).toPrecision(3)))}%`);

  return { show };
})();
