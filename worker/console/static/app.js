// The frame of the page: navigation, search, session, and which view shows.

import { get, listen, post } from "./api.js";
import { el, replace } from "./dom.js";
import { tick } from "./format.js";
import { title } from "./parts.js";
import * as archive from "./archive.js";
import * as command from "./command.js";
import * as commands from "./commands.js";
import * as dead from "./dead.js";
import * as meeting from "./meeting.js";
import * as now from "./now.js";
import * as recording from "./recording.js";
import * as recordings from "./recordings.js";
import * as search from "./search.js";
import { askForToken } from "./dialog.js";

const VIEWS = [
  [/^\/$/, now],
  [/^\/recordings$/, recordings],
  [/^\/recordings\/([^/]+)$/, recording],
  [/^\/meetings\/([^/]+)$/, meeting],
  [/^\/commands$/, commands],
  [/^\/commands\/([^/]+)$/, command],
  [/^\/dead(?:\/([^/]+))?$/, dead],
  [/^\/archive$/, archive],
  [/^\/search$/, search],
];
const LINKS = [["/", "Now"], ["/recordings", "Recordings"], ["/commands", "Commands"], ["/dead", "Dead letters"], ["/archive", "Archive"]];

const main = document.getElementById("main");
const context = { session: null, events: [], now: null, broker: null, signal: null, navigate, changeSession };
const MAX_MISSED = 200;
let view = null;
let leaving = null;
let missed = []; // what arrives while a view is being made

function drawNavigation() {
  const here = `/${location.pathname.split("/")[1]}`;
  const current = here === "/meetings" ? "/recordings" : here;
  replace(document.getElementById("nav"), el("ul", {}, LINKS.map(([href, text]) =>
    el("li", {}, el("a", { href, "aria-current": href === current ? "page" : null }, text)))));
}

async function show({ focus = false } = {}) {
  leaving?.abort();
  leaving = new AbortController();
  view?.leave?.();
  view = null;
  missed = [];
  context.signal = leaving.signal;
  drawNavigation();
  // A link in a dialog leads to another page, which the dialog must not cover.
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
  const [module, parameters] = addressed();
  const root = el("div", { class: "view" });
  replace(main, root);
  const { signal } = leaving;
  try {
    const shown = await module.show(root, context, ...parameters);
    if (!signal.aborted) {
      view = shown;
      for (const [name, value] of missed.splice(0)) view?.on?.(name, value);
    }
  } catch (error) {
    if (error.name === "AbortError") return;
    if (error.status === 401) return void logInFirst(root);
    const isMissing = error.status === 404 && parameters[0];
    replace(root, title(error.status === 404 ? "Not found" : "This cannot be shown"), el("p", { class: "notice bad", role: "alert" }, sentence(error.message)),
      isMissing && el("p", {}, el("a", { href: `/search?${new URLSearchParams({ q: parameters[0] })}` }, "Search for it"), ", also for the ids that begin so."));
  }
  const heading = root.querySelector("h1");
  document.title = `${heading?.textContent ?? "Console"} · Recording console`;
  if (focus) heading?.focus({ preventScroll: true });
}

function sentence(text) {
  return text.endsWith(".") ? text : `${text}.`;
}

// The view of the address, and the ids in it.
function addressed() {
  for (const [pattern, module] of VIEWS) {
    const match = location.pathname.match(pattern);
    try {
      if (match) return [module, match.slice(1).map((part) => part && decodeURIComponent(part))];
    } catch {
      break; // an escape that stands for no letter
    }
  }
  return [missing, []];
}

const missing = {
  show(root) {
    replace(root, title("Not found"), el("p", {}, "The console has no page of this address."));
  },
};

function logInFirst(root) {
  const button = el("button", { type: "button", class: "primary", on: { click: changeSession } }, "Log in");
  replace(root, title("Log in"), el("p", {}, "Other machines need the token to read. "), button);
}

export function navigate(href) {
  if (href !== location.pathname + location.search) history.pushState(null, "", href);
  scrollTo(0, 0);
  show({ focus: true });
}

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href^='/']");
  if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  navigate(link.getAttribute("href"));
});
addEventListener("popstate", () => show({ focus: true }));

// Search

const box = document.getElementById("q");
document.getElementById("search").addEventListener("submit", (event) => {
  event.preventDefault();
  const wanted = box.value.trim();
  if (wanted) navigate(`/search?${new URLSearchParams({ q: wanted })}`);
});
document.addEventListener("keydown", (event) => {
  const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement?.tagName ?? "");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !document.querySelector("dialog[open]")) {
    event.preventDefault();
    box.focus();
    box.select();
  } else if (event.key === "Escape" && document.activeElement === box) {
    box.value = "";
    main.focus();
  }
});

// Session

async function changeSession() {
  if (context.session?.may_act) {
    await post("/api/logout", {});
  } else if (!(await askForToken((token) => post("/api/login", { token })))) {
    return;
  }
  await readSession();
  reconnect();
  // The button that was pressed is another one now.
  document.querySelector("#session button")?.focus();
  show();
}

async function readSession() {
  context.session = await get("/api/session");
  const { may_act: mayAct, has_token: hasToken } = context.session;
  const place = document.getElementById("session");
  if (!hasToken) replace(place, el("span", { class: "tag", title: "Set WORKER_CONSOLE_TOKEN to permit actions" }, "Read-only"));
  else replace(place, el("button", { type: "button", class: "session", on: { click: changeSession } }, mayAct ? "Log out" : ["Log in", el("span", { class: "more-words" }, " to act")]));
}

// Stream

let stream = null;

function reconnect() {
  stream?.close();
  if (!context.session?.may_read) return;
  stream = listen(receive, (state) => {
    context.link = state;
    drawLink();
  });
}

function receive(name, value) {
  if (name === "now") context.now = { ...value, broker: context.now?.broker ?? context.broker };
  else if (name === "broker") context.broker = value;
  else if (name === "event") context.events = [value, ...context.events.filter((known) => known.id !== value.id)].slice(0, 60);
  else if (name === "reload") return void show();
  if (name === "broker" || name === "now") drawLink();
  if (view) view.on?.(name, value);
  else if (missed.length < MAX_MISSED) missed.push([name, value]);
}

function drawLink() {
  const place = document.getElementById("link-state");
  const [tone, text] = context.link === "lost" ? ["bad", "Console lost, trying again"]
    : context.now?.error ? ["bad", "State cannot be read"]
    : context.broker?.state === "unavailable" ? ["warn", "No events: broker unavailable"]
    : context.link === "open" ? ["good", "Live"] : ["plain", "Connecting"];
  if (place.dataset.text === text) return;
  place.dataset.text = text;
  replace(place, el("span", { class: `chip ${tone}` }, text));
}

setInterval(tick, 1000);
await readSession();
reconnect();
await show();
