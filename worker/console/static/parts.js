// The parts that pages are made of: panels, tables, facts, verdicts.

import { el, reconcile } from "./dom.js";
import { plural } from "./format.js";

export function title(text, ...more) {
  return el("div", { class: "title" }, el("h1", { tabindex: "-1" }, text), ...more);
}

export function panel(heading, ...children) {
  const id = `h-${heading.toLowerCase().replace(/[^a-z]+/g, "-")}`;
  return el("section", { class: "panel", "aria-labelledby": id }, el("h2", { id }, heading), ...children);
}

export function empty(text) {
  return el("p", { class: "empty" }, text);
}

export function verdicts(list) {
  return el("ul", { class: "verdicts" }, list.map((verdict) => el("li", { class: verdict.level }, verdict.text)));
}

export function facts(pairs) {
  const shown = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return el("dl", { class: "facts" }, shown.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}

// A table whose rows follow the data. `columns` are [title, cell of a row, class]. In a narrow
// window each row becomes a block, in which every cell has its column's title.
export function table(label, columns, keyOf) {
  const body = el("tbody", { role: "rowgroup" });
  const head = el("tr", { role: "row" }, columns.map(([name, , kind]) =>
    el("th", { scope: "col", role: "columnheader", class: kind }, kind === "check" ? el("span", { class: "unseen" }, name) : name)));
  const element = el("table", { role: "table", "aria-label": label },
    el("thead", { role: "rowgroup" }, head), body);
  const render = (row) => el("tr", { role: "row" }, columns.map(([name, cell, kind]) =>
    el("td", { role: "cell", class: kind, "data-label": name }, el("span", { class: "cell" }, cell(row)))));
  return {
    element,
    update(rows) {
      reconcile(body, rows, keyOf, render);
      element.hidden = !rows.length;
    },
  };
}

// A list in pages: a table, "more", and a text while there is nothing.
export function pagedTable({ label, columns, keyOf, load, emptyText }) {
  const shown = table(label, columns, keyOf);
  const nothing = empty(emptyText);
  const failure = el("p", { class: "notice bad", role: "alert", hidden: true });
  const more = el("button", { type: "button", class: "more", hidden: true }, "Show more");
  let rows = [];
  let next = null;
  let generation = 0;
  const draw = () => {
    shown.update(rows);
    nothing.hidden = rows.length > 0;
    more.hidden = next === null;
  };
  async function fetchPage(after) {
    const mine = ++generation;
    try {
      const page = await load(after);
      if (mine !== generation) return;
      rows = after === null ? page.rows : [...rows, ...page.rows];
      next = page.next;
      failure.hidden = true;
      draw();
    } catch (error) {
      if (error.name === "AbortError" || mine !== generation) return;
      failure.textContent = error.message;
      failure.hidden = false;
    }
  }
  more.addEventListener("click", () => fetchPage(next));
  nothing.hidden = true;
  return {
    element: el("div", { class: "paged" }, failure, el("div", { class: "scroll" }, shown.element), nothing, more),
    reload: () => fetchPage(null),
    // Changes of the first page only, so that later pages do not move while they are read.
    refresh: () => (rows.length <= 50 ? fetchPage(null) : null),
    count: () => plural(rows.length, "row"),
  };
}

export function choice(label, options, selected, onChange) {
  const select = el("select", { "aria-label": label, on: { change: () => onChange(select.value) } },
    options.map(([value, text]) => el("option", { value, selected: value === selected }, text)));
  return select;
}

export function button(text, onClick, kind = "") {
  return el("button", { type: "button", class: kind, on: { click: onClick } }, text);
}

// Calls `action` soon, but not more often than every `milliseconds`.
export function throttled(action, milliseconds) {
  let timer = null;
  let last = 0;
  const call = () => {
    timer ??= setTimeout(() => {
      timer = null;
      last = Date.now();
      action();
    }, Math.max(0, last + milliseconds - Date.now()));
  };
  call.cancel = () => clearTimeout(timer);
  return call;
}
