// The page "now": what is recorded, what waits, and whether anything needs attention.

import { get, query } from "./api.js";
import { recordingColumns } from "./columns.js";
import { el, replace } from "./dom.js";
import { feedList } from "./feed.js";
import { ago, idLink, plural, seconds, statusWord } from "./format.js";
import { choice, empty, pagedTable, panel, throttled, title } from "./parts.js";

const LIVE = ["RECORDING", "PAUSED", "INVOKED", "UPLOADING"];

export async function show(root, context) {
  const headline = el("p", { class: "headline" });
  const attention = el("div", { class: "attention" });
  const figures = el("div", { class: "figures" });
  const aside = { budget: el("div"), timers: el("div"), workers: el("div"), checks: el("div") };
  const filter = { status: "live", app: "" };
  const list = pagedTable({
    label: "Live recordings",
    columns: recordingColumns(),
    keyOf: (row) => row.recording_id,
    load: async (after) => {
      const page = await get(`/api/recordings${query({ ...filter, after })}`, context);
      return { rows: page.recordings, next: page.next };
    },
    emptyText: "Nothing is being recorded now.",
  });
  const apps = el("span", {});
  const byApp = el("span", { class: "muted" });
  const tabs = el("div", { class: "tabs", role: "group", "aria-label": "Status" });
  const feed = feedList();
  replace(root,
    title("Now", headline), attention, figures,
    el("div", { class: "columns" },
      el("div", {}, panel("Live recordings", el("div", { class: "filters" }, tabs, apps, byApp), list.element), panel("Events", feed.element)),
      el("div", { class: "side" },
        panel("Request budget", aside.budget), panel("Timers and waits", aside.timers),
        panel("Checks", aside.checks), panel("Workers", aside.workers))));

  const drawTabs = (counts, total) => {
    const options = [["live", "All", total], ...LIVE.map((status) => [status, statusWord(status), counts[status] ?? 0])];
    const before = document.activeElement?.dataset?.status;
    replace(tabs, options.map(([value, text, number]) => el("button", {
      type: "button", "aria-pressed": String(filter.status === value), "data-status": value,
      on: { click: () => { filter.status = value; drawTabs(counts, total); list.reload(); } },
    }, text, " ", el("span", { class: "num" }, number.toLocaleString("en")))));
    if (before) tabs.querySelector(`[data-status="${before}"]`)?.focus();
  };

  const drawApps = throttledByValue((names) => {
    replace(apps, names.length > 1 && choice("App", [["", "All apps"], ...names.map((name) => [name, name])], filter.app, (value) => {
      filter.app = value;
      list.reload();
    }));
  });

  const draw = (now) => {
    const { counts, total, names, ofApps } = countsOf(now);
    replace(headline, now.error ? "Unknown, because the state cannot be read." : total ? sentence(counts) : "Nothing is being recorded.");
    replace(attention, concernsOf(now.checks));
    if (now.error) return;
    replace(figures, figuresOf(now, counts));
    replace(aside.budget, budgetOf(now));
    replace(aside.timers, timersOf(now));
    replace(aside.workers, replicasOf(now));
    replace(aside.checks, checksOf(now));
    drawTabs(counts, total);
    drawApps(names);
    replace(byApp, names.length > 1 && appCounts(ofApps));
  };

  context.now = await get("/api/now", context);
  context.broker = context.now.broker ?? context.broker;
  draw(context.now);
  feed.update(context.events);
  await list.reload();
  const refresh = throttled(list.refresh, 1500);
  return {
    on(name) {
      if (name === "now") draw(context.now);
      if (name === "broker" && context.now) draw(context.now = { ...context.now, broker: context.broker });
      if (name === "event") {
        feed.update(context.events);
        refresh();
      }
      if (name === "now") refresh();
    },
    leave: refresh.cancel,
  };
}

function throttledByValue(draw) {
  let known = null;
  return (value) => {
    const text = JSON.stringify(value);
    if (text !== known) draw(value);
    known = text;
  };
}

function countsOf(now) {
  const counts = {};
  const ofApps = new Map();
  for (const { app, status, live, count } of now.live ?? []) {
    counts[status] = (counts[status] ?? 0) + count;
    if (live) ofApps.set(app, (ofApps.get(app) ?? 0) + count);
  }
  const total = LIVE.reduce((sum, status) => sum + (counts[status] ?? 0), 0);
  return { counts, total, ofApps, names: [...new Set((now.live ?? []).map((count) => count.app))].sort() };
}

const MAX_APPS = 8;

function appCounts(ofApps) {
  const sorted = [...ofApps].sort(([, one], [, other]) => other - one);
  const more = sorted.length - MAX_APPS;
  return sorted.slice(0, MAX_APPS).map(([app, count]) => `${app} ${count.toLocaleString("en")}`).join(", ") + (more > 0 ? ` and ${more} more apps` : "");
}

function sentence(counts) {
  const parts = [];
  if (counts.RECORDING) parts.push(`${plural(counts.RECORDING, "recording")} running`);
  if (counts.PAUSED) parts.push(`${counts.PAUSED.toLocaleString("en")} paused`);
  if (counts.INVOKED) parts.push(`${counts.INVOKED.toLocaleString("en")} starting`);
  if (counts.UPLOADING) parts.push(`${counts.UPLOADING.toLocaleString("en")} uploading`);
  return `${parts.join(", ")}.`;
}

function figure(label, value, note, href) {
  const number = el("span", { class: "value" }, typeof value === "number" ? value.toLocaleString("en") : value);
  return el("div", { class: "figure" }, el("span", { class: "label" }, href ? el("a", { href }, label) : label), number, el("span", { class: "note" }, note ?? ""));
}

function figuresOf(now, counts) {
  const sessions = now.waiting.find((place) => place.waits_for === "session");
  const queued = now.queues?.commands.messages ?? null;
  const later = (now.queues?.retries ?? []).reduce((sum, queue) => sum + (queue.messages ?? 0), 0);
  const dead = now.queues?.dead.messages ?? null;
  const next = now.next_expiry;
  const oldest = Object.fromEntries(now.longest.map((one) => [one.status, one]));
  return [
    figure("Recording", counts.RECORDING ?? 0, oldest.RECORDING ? oldestOf(oldest.RECORDING) : "none now"),
    figure("Finding files", counts.UPLOADED ?? 0, oldest.UPLOADING ? [`${counts.UPLOADING} uploading, `, oldestOf(oldest.UPLOADING)] : "none uploading"),
    figure("Waiting starts", sessions?.commands ?? 0, sessions?.oldest_at ? ["oldest ", ago(sessions.oldest_at)] : "for a session"),
    figure("Queued commands", queued ?? "–", later ? `${later} for a later try` : queued === null ? "queue not seen" : "none for a later try", "/commands"),
    figure("Unpublished events", now.outbox.events, now.outbox.oldest_at ? ["oldest ", ago(now.outbox.oldest_at)] : "all are out"),
    figure("Dead letters", dead ?? "–", dead ? "need a decision" : dead === null ? "queue not seen" : "none", "/dead"),
    figure("Next file lost", next ? ago(next.expires_at) : "–", next ? [next.is_queued ? "to be archived: " : "its URL expires: ", idLink("recordings", next.recording_id)] : now.archive.failed ? `${now.archive.failed} lost before` : "no file waits for a copy", next ? `/recordings/${encodeURIComponent(next.recording_id)}` : null),
  ];
}

function oldestOf({ recording_id: id, since }) {
  return ["oldest ", el("a", { href: `/recordings/${encodeURIComponent(id)}`, title: id }, ago(since))];
}

function budgetOf(now) {
  if (!now.budgets.length) return empty("No request was made yet.");
  return now.budgets.map((budget) => el("div", { class: "budget" },
    now.budgets.length > 1 && el("h3", {}, budget.account),
    budget.paused_until && el("p", { class: "bad-text" }, "The API asked for a pause that ends ", ago(budget.paused_until), "."),
    budget.windows.map((window) => meter(window))));
}

function meter(window) {
  const share = Math.min(1, window.spent / window.requests);
  const tone = window.for_commands <= 0 ? "bad" : share > 0.75 ? "warn" : "good";
  const text = `${window.spent.toLocaleString("en")} of ${window.requests.toLocaleString("en")} requests spent in ${seconds(window.seconds)}`;
  const left = Math.max(0, window.requests - window.spent, window.for_commands);
  return el("div", { class: `meter ${tone}` },
    el("div", { class: "meter-text" }, el("span", {}, text), el("span", { class: "muted" }, `${left.toLocaleString("en")} left, ${Math.max(0, window.for_commands).toLocaleString("en")} of them for commands`)),
    el("div", { class: "track", role: "img", "aria-label": `${Math.round(share * 100)} percent spent` }, el("div", { class: "fill", vars: { "--share": share } })));
}

const WAITS = {
  session: ["start waits for its meeting", "starts wait for their meetings"],
  start: ["command waits for its start", "commands wait for their starts"],
};

function timersOf(now) {
  const waits = now.waiting.filter((place) => place.commands).map((place) => el("li", {}, el("a", { href: "/commands" }, `${place.commands.toLocaleString("en")} ${WAITS[place.waits_for][place.commands === 1 ? 0 : 1]}`), place.oldest_at && [", the oldest came ", ago(place.oldest_at)]));
  if (waits.length && now.next_due_at) waits.push(el("li", {}, "The first stops waiting ", ago(now.next_due_at)));
  const stops = now.timers.map((timer) => el("li", {}, "Stop of ", idLink("recordings", timer.recording_id), " ", ago(timer.stop_at)));
  if (!waits.length && !stops.length) return empty("Nothing waits, and no recording has a limit.");
  return el("ul", { class: "plain" }, waits, stops);
}

// The checks of `recording-worker status`.

const TONES = { ok: "good", warning: "warn", failed: "bad", unknown: "plain" };
const PAGES = { "dead letters": "/dead", stalled: "/recordings?status=live", queue: "/commands", archive: "/archive" };

function concernsOf(checks) {
  // That no worker can be asked is among the checks. It is no fault.
  const concerns = checks.filter((check) => check.state !== "ok" && !(check.name === "api" && check.state === "unknown"));
  if (!concerns.length) return el("p", { class: "well" }, "All is well: nothing needs attention.");
  return el("ul", { class: "concerns" }, concerns.map((check) => el("li", { class: TONES[check.state] },
    el("strong", {}, check.name), ": ", PAGES[check.name] ? el("a", { href: PAGES[check.name] }, saying(check)) : saying(check))));
}

function saying(check) {
  return check.name === "dead letters" ? `${check.text} to decide on` : check.text || check.state;
}

function checksOf(now) {
  return el("ul", { class: "checks" }, now.checks.map((check) => el("li", { class: TONES[check.state] },
    el("span", { class: "name" }, check.name), el("span", {}, check.state === "ok" ? "" : el("strong", {}, `${check.state}: `), check.text || check.state))));
}

function replicasOf(now) {
  if (!now.replicas.length) return el("p", { class: "bad-text" }, "No worker is alive.");
  return el("ul", { class: "plain" }, now.replicas.map((replica) => el("li", {},
    el("span", { class: "id", title: replica.owner }, replica.owner.slice(0, 8)), replica.leads ? " leads: it publishes and sweeps" : " follows")));
}
