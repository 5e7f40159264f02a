"use strict";
// Records as columns, and everything else on request. All data come as scripts that call `receive`, because a page
// that is opened from a folder may not read files in another way.
const palpate = (() => {
  const waiting = new Map();
  const held = new Map();
  const MOST = 200;

  function load(name) {
    if (held.has(name)) return Promise.resolve(held.get(name));
    if (waiting.has(name)) return waiting.get(name).promise;
    const entry = {};
    entry.promise = new Promise((resolve, reject) => Object.assign(entry, { resolve, reject }));
    waiting.set(name, entry);
    const script = document.createElement("script");
    script.src = `data/${name}.js`;
    script.addEventListener("load", () => {
      script.remove();
      if (waiting.delete(name)) entry.reject(new Error(`${name} holds nothing`));
    });
    script.addEventListener("error", () => {
      script.remove();
      waiting.delete(name);
      entry.reject(new Error(`${name} is missing`));
    });
    document.head.append(script);
    return entry.promise;
  }

  function receive(name, value) {
    const entry = waiting.get(name);
    if (!entry) return;
    waiting.delete(name);
    held.set(name, value);
    if (held.size > MOST) held.delete(held.keys().next().value);
    entry.resolve(value);
  }

  function bytes(text) {
    const letters = atob(text);
    const found = new Uint8Array(letters.length);
    for (let place = 0; place < letters.length; place += 1) found[place] = letters.charCodeAt(place);
    return found.buffer;
  }

  const TYPES = { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array };

  // A column: `at` gives a value, `code` a number that sorts as the values do, `text` what is shown.
  class Column {
    constructor(stored, images) {
      Object.assign(this, { key: stored.key, title: stored.title, about: stored.about, part: stored.part });
      this.initially = stored.shown;
      this.choice = stored.kind === "choice";
      this.names = stored.names || [];
      this.data = new (this.choice ? TYPES[stored.width] : Float32Array)(bytes(stored.data));
      this.images = stored.byImage ? images : null;
      this.numeric = !this.choice || typeof this.names[0] === "number";
    }

    code(record) {
      return this.data[this.images ? this.images[record] : record];
    }

    at(record) {
      const code = this.code(record);
      return this.choice ? this.names[code] : code;
    }

    text(record) {
      return shown(this.at(record));
    }
  }

  function shown(value) {
    if (typeof value !== "number") return value;
    if (!Number.isFinite(value)) return "–";
    const text = Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(4)));
    return text.replace("-", "−");
  }

  function table(stored) {
    const columns = [];
    let images = null;
    for (const one of stored.columns) {
      const column = new Column(one, images);
      if (one.key === "row") images = column.data;
      columns.push(column);
    }
    const byKey = new Map(columns.map((one) => [one.key, one]));
    const ready = stored.ready === null ? null : new Set(stored.ready);
    return { count: stored.count, columns, byKey, images, ready, members: null };
  }

  // The records of an image, in their order.
  function members(one, row) {
    if (!one.members) {
      one.members = new Map();
      for (let place = 0; place < one.count; place += 1) {
        const image = one.byKey.get("row").at(place);
        if (!one.members.has(image)) one.members.set(image, []);
        one.members.get(image).push(place);
      }
    }
    return one.members.get(row) || [];
  }

  const siblings = (one, record) => members(one, one.byKey.get("row").at(record));

  function element(tag, properties = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (name in made && name !== "role") made[name] = value;
      else made.setAttribute(name, value);
    }
    made.append(...children);
    return made;
  }

  const byId = (id) => document.getElementById(id);

  return { load, receive, table, members, siblings, shown, element, byId };
})();
