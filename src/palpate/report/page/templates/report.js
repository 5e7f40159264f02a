// The page works without this. It sorts tables by a click on a heading, shows the slices of a volume one at a time, and
// opens the folded part that a link leads to.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    head.tabIndex = 0;
    const sort = () => {
      const down = head.getAttribute("aria-sort") !== "descending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => {
        const cell = row.cells[column];
        const text = cell ? cell.dataset.sort ?? cell.textContent.trim() : "";
        const number = Number(text);
        return text !== "" && Number.isFinite(number) ? number : text;
      };
      const compare = (a, b) =>
        typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
      // The last body: rows of an earlier one (the worst case) keep their place on top.
      const body = table.tBodies[table.tBodies.length - 1];
      [...body.rows].sort((a, b) => (down ? -1 : 1) * compare(key(a), key(b))).forEach((row) => body.append(row));
    };
    head.addEventListener("click", sort);
    head.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); sort(); }
    });
  });
}
for (const viewer of document.querySelectorAll(".slices")) {
  const slices = [...viewer.querySelectorAll(".slice")];
  if (slices.length < 2) continue;
  const slider = document.createElement("input");
  Object.assign(slider, { type: "range", min: 0, max: slices.length - 1, value: viewer.dataset.start });
  slider.setAttribute("aria-label", "slice");
  const show = () => {
    slices.forEach((slice, place) => { slice.hidden = place !== Number(slider.value); });
    slider.setAttribute("aria-valuetext", slices[slider.value].dataset.words);
  };
  slider.addEventListener("input", show);
  show();
  viewer.prepend(slider);
}
// A link to something that is folded opens it.
const reveal = () => {
  const target = document.getElementById(location.hash.slice(1));
  for (let part = target; part; part = part.parentElement) if (part.tagName === "DETAILS") part.open = true;
  if (target) target.scrollIntoView();
};
addEventListener("hashchange", reveal);
reveal();
addEventListener("beforeprint", () => {
  document.querySelectorAll(".full details").forEach((part) => { part.open = true; });
});
