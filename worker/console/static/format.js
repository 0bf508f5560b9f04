// Times, durations, ids, sizes and states, as people read them.

import { el, svg, visible } from "./dom.js";

const UNITS = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];

export function seconds(value) {
  let rest = Math.max(0, Math.round(value));
  const parts = [];
  for (const [name, size] of UNITS) {
    if (rest >= size || (name === "s" && !parts.length)) {
      parts.push(`${Math.floor(rest / size)} ${name}`);
      rest %= size;
    } else if (parts.length) break;
    if (parts.length === 2) break;
  }
  return parts.join(" ");
}

export function relative(iso, now = Date.now()) {
  const difference = (new Date(iso).getTime() - now) / 1000;
  if (Math.abs(difference) < 1.5) return "now";
  return difference < 0 ? `${coarse(-difference)} ago` : `in ${coarse(difference)}`;
}

function coarse(value) {
  const [name, size] = UNITS.find(([, size]) => value >= size) ?? UNITS.at(-1);
  return value >= 86400 && value < 10 * 86400 ? seconds(value) : `${Math.round(value / size)} ${name}`;
}

export function clock(value) {
  const whole = Math.max(0, Math.floor(value));
  const two = (number) => String(number).padStart(2, "0");
  return `${Math.floor(whole / 3600)}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
}

export function exact(iso) {
  const date = new Date(iso);
  const two = (number) => String(number).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ` +
    `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

// A time, shown in relation to now, with the exact one in its title. `tick` keeps it right.
export function ago(iso, absent = "–") {
  if (!iso) return el("span", { class: "muted" }, absent);
  return el("time", { datetime: iso, title: exact(iso), "data-show": "relative" }, relative(iso));
}

export function elapsed(iso) {
  if (!iso) return el("span", { class: "muted" }, "–");
  const since = (Date.now() - new Date(iso)) / 1000;
  return el("time", { datetime: iso, title: `since ${exact(iso)}`, "data-show": "elapsed", class: "num" }, clock(since));
}

export function at(iso, absent = "–") {
  if (!iso) return el("span", { class: "muted" }, absent);
  return el("time", { datetime: iso, title: relative(iso), class: "num" }, exact(iso));
}

export function tick() {
  const now = Date.now();
  for (const time of document.querySelectorAll("time[data-show]")) {
    const text = time.dataset.show === "relative"
      ? relative(time.dateTime, now)
      : clock((now - new Date(time.dateTime)) / 1000);
    if (time.textContent !== text) time.textContent = text;
  }
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

export function short(id) {
  const text = String(id);
  if (UUID.test(text)) return text.slice(0, 8);
  return text.length <= 28 ? text : `${text.slice(0, 16)}…${text.slice(-8)}`;
}

export function middle(name, length = 44) {
  const text = String(name);
  if (text.length <= length) return text;
  const half = Math.floor((length - 1) / 2);
  return `${text.slice(0, half)}…${text.slice(-half)}`;
}

// The message of an outcome without the section of the documents that it names for publishers.
export function withoutReference(message) {
  return message.replace(/ \(see \S+\)$/, "");
}

export function cut(text, length) {
  return text.length <= length ? text : `${text.slice(0, length - 1)}…`;
}

export function idLink(kind, id, { whole = false } = {}) {
  if (!id) return el("span", { class: "muted" }, "–");
  const text = whole ? id : short(id);
  return el("a", { class: text.length > 12 ? "id" : "id short", href: `/${kind}/${encodeURIComponent(id)}`, title: visible(id) }, text);
}

// An id with a button that copies it.
export function copyable(id) {
  if (!id) return el("span", { class: "muted" }, "–");
  const button = el("button", { type: "button", class: "copy", "aria-label": `Copy ${visible(id)}`, title: "Copy" }, copyIcon());
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(id);
      button.classList.add("done");
      setTimeout(() => button.classList.remove("done"), 1200);
    } catch {
      getSelection().selectAllChildren(button.previousElementSibling);
    }
  });
  return el("span", { class: "copyable" }, el("span", { class: "id" }, id), button);
}

function copyIcon() {
  return svg("svg", { viewBox: "0 0 16 16", width: 14, height: 14, "aria-hidden": "true" },
    svg("path", { d: "M5.5 5.5v-3h8v8h-3M2.5 5.5h8v8h-8z", fill: "none", stroke: "currentColor", "stroke-width": "1.4", "stroke-linejoin": "round" }));
}

export const TONES = {
  INVOKED: "blue", RECORDING: "live", PAUSED: "warn", UPLOADING: "violet", UPLOADED: "good", ERRORED: "bad",
  succeeded: "good", rejected: "bad", failed: "bad", expired: "warn", running: "live", waiting: "warn",
  queued: "blue", archived: "good", external: "plain",
  sent: "good", refused: "warn", "set aside": "bad",
};
const WORDS = {
  INVOKED: "Starting", RECORDING: "Recording", PAUSED: "Paused", UPLOADING: "Uploading", UPLOADED: "Uploaded", ERRORED: "Errored",
};
export const STATUSES = Object.keys(WORDS);

export function statusWord(status) {
  return WORDS[status] ?? status;
}

export function chip(state, text = statusWord(state)) {
  return el("span", { class: `chip ${TONES[state] ?? "plain"}` }, text);
}

export function recordingChip(row) {
  if (row.unknown_status) return chip(row.status, `${statusWord(row.status)}, API: ${row.unknown_status}`);
  if (row.status === "UPLOADED" && !row.completed) return chip("UPLOADING", "Finding files");
  if (row.status === "UPLOADED" && row.completed) return chip("UPLOADED", "Complete");
  return chip(row.status);
}

export function plural(number, noun) {
  return `${number.toLocaleString("en")} ${number === 1 ? noun : `${noun}s`}`;
}

export function bytes(number) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = number;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value < 10 && unit ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

export function commandName(type) {
  return String(type).replace(/_recording$/, "").replace(/_/g, " ");
}

export function json(value) {
  return el("pre", { class: "json", tabindex: "0" }, ...coloured(JSON.stringify(value, null, 2) ?? "null"));
}

const TOKEN = /("(?:\\.|[^"\\])*")(\s*:)?|\b(?:true|false|null)\b|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

function coloured(text) {
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(TOKEN)) {
    parts.push(document.createTextNode(plain(text.slice(end, match.index))));
    const kind = match[1] ? (match[2] ? "key" : "string") : "literal";
    parts.push(el("span", { class: kind }, match[1] ?? match[0]), match[2] ?? "");
    end = match.index + match[0].length;
  }
  parts.push(document.createTextNode(plain(text.slice(end))));
  return parts;
}

// JSON itself has line ends between its parts.
function plain(text) {
  return text.split("\n").map(visible).join("\n");
}
