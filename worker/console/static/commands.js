// Commands: how they ended over time, which errors they met, and each of them.

import { get, query } from "./api.js";
import { commandColumns } from "./columns.js";
import { el, replace, svg } from "./dom.js";
import { ago, chip, commandName, exact, idLink, plural, seconds, withoutReference } from "./format.js";
import { button, choice, empty, pagedTable, panel, table, throttled, title } from "./parts.js";

const TYPES = ["start_track_recording", "start_recording", "stop_recording", "pause_recording", "resume_recording", "sync_recording", "replay_recording", "archive_recording"];
const MAX_ERRORS = 6; // as many as next to the outcomes
const OUTCOMES = ["succeeded", "rejected", "failed", "expired"];

export async function show(root, context) {
  const wanted = new URLSearchParams(location.search);
  const filter = { outcome: wanted.get("outcome") ?? "", type: wanted.get("type") ?? "", code: wanted.get("code") ?? "" };
  let hours = 24;
  const chart = el("div");
  const errors = el("div");
  let hasAllErrors = false;
  const unfinished = el("div");
  const filters = el("div", { class: "filters" });
  const list = pagedTable({
    label: "Commands that have ended",
    columns: commandColumns,
    keyOf: (row) => row.command_id,
    load: async (after) => {
      const page = await get(`/api/commands${query({ ...filter, after })}`, context);
      return { rows: page.commands, next: page.next };
    },
    emptyText: "No command has ended like this.",
  });
  const narrow = (changes) => {
    Object.assign(filter, changes);
    history.replaceState(null, "", `/commands${query(filter)}`);
    drawFilters();
    list.reload();
  };
  const drawFilters = () => replace(filters,
    choice("Outcome", [["", "Every outcome"], ...OUTCOMES.map((name) => [name, name])], filter.outcome, (outcome) => narrow({ outcome })),
    choice("Type", [["", "Every type"], ...TYPES.map((name) => [name, commandName(name)])], filter.type, (type) => narrow({ type })),
    filter.code && button(`Code ${filter.code} ✕`, () => narrow({ code: "" }), "filter"));
  const drawSummary = async () => {
    const summary = await get(`/api/commands/summary${query({ hours })}`, context);
    replace(chart, chartOf(summary, hours));
    const showAll = () => {
      hasAllErrors = true;
      drawErrors();
    };
    const drawErrors = () => replace(errors, errorsOf(hasAllErrors ? summary.errors : summary.errors.slice(0, MAX_ERRORS), (group) => {
      narrow({ code: group.code, outcome: group.outcome });
      filters.scrollIntoView({ block: "nearest" });
    }), !hasAllErrors && summary.errors.length > MAX_ERRORS && button(`Show ${summary.errors.length - MAX_ERRORS} more`, showAll, "more"));
    drawErrors();
  };
  const drawUnfinished = async () => {
    const { commands } = await get("/api/commands/unfinished", context);
    const shown = table("Commands that have not ended", commandColumns.map(([name, cell, kind]) => [name === "Ended" ? "Received" : name === "Outcome" ? "State" : name, cell, kind]), (row) => row.command_id);
    shown.update(commands);
    replace(unfinished, commands.length ? el("div", { class: "scroll" }, shown.element) : empty("Every command that came has ended."));
  };
  const period = choice("Period", [["1", "Last hour"], ["24", "Last 24 hours"], ["168", "Last 7 days"], ["720", "Last 30 days"]], "24", (value) => {
    hours = Number(value);
    drawSummary();
  });
  replace(root, title("Commands", period), el("div", { class: "columns even" }, panel("Outcomes", chart), panel("Errors", errors)),
    panel("Not ended", unfinished), panel("Ended", filters, list.element));
  drawFilters();
  await Promise.all([drawSummary(), drawUnfinished(), list.reload()]);
  const refresh = throttled(() => {
    list.refresh();
    drawUnfinished().catch(() => {});
    drawSummary().catch(() => {});
  }, 4000);
  return { on: (name, value) => name === "event" && value.command_id && refresh(), leave: refresh.cancel };
}

function chartOf(summary, hours) {
  const totals = Object.fromEntries(OUTCOMES.map((name) => [name, summary.slots.reduce((sum, slot) => sum + (slot[name] ?? 0), 0)]));
  const highest = Math.max(1, ...summary.slots.map((slot) => OUTCOMES.reduce((sum, name) => sum + (slot[name] ?? 0), 0)));
  const width = 480;
  const height = 96;
  const step = width / summary.slots.length;
  const bars = summary.slots.flatMap((slot, index) => {
    let top = height;
    const from = new Date(new Date(summary.since).getTime() + index * summary.slot_seconds * 1000);
    return OUTCOMES.filter((name) => slot[name]).map((name) => {
      const size = Math.max(2, (slot[name] / highest) * (height - 4));
      top -= size;
      return svg("rect", { class: name, x: index * step + 0.75, y: top, width: step - 1.5, height: size, rx: 1 },
        svg("title", {}, `${exact(from)}: ${plural(slot[name], "command")} ${name}`));
    });
  });
  const text = OUTCOMES.map((name) => `${totals[name]} ${name}`).join(", ");
  const all = OUTCOMES.reduce((sum, name) => sum + totals[name], 0);
  return [
    all ? svg("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Outcomes in the last ${hours} hours: ${text}`, preserveAspectRatio: "none" }, svg("line", { x1: 0, x2: width, y1: height - 0.5, y2: height - 0.5 }), bars) : empty("No command ended in this time."),
    all ? el("p", { class: "axis" }, el("span", {}, `${seconds(hours * 3600)} ago`), el("span", {}, `each bar ${seconds(summary.slot_seconds)}, at most ${plural(highest, "command")}`), el("span", {}, "now")) : null,
    el("ul", { class: "legend" }, OUTCOMES.map((name) => el("li", { class: name }, el("span", { class: "num" }, totals[name].toLocaleString("en")), ` ${name}`))),
    byType(summary),
    summary.looked_back_to && el("p", { class: "muted" }, "Only the newest 10,000 commands are counted, back to ", ago(summary.looked_back_to), "."),
  ];
}

function byType(summary) {
  const rows = Object.entries(summary.types).map(([type, counts]) => ({ type, counts }));
  const shown = table("Outcomes by type", [
    ["Command", (row) => commandName(row.type)],
    ...OUTCOMES.map((name) => [name[0].toUpperCase() + name.slice(1), (row) => (row.counts[name] ? row.counts[name].toLocaleString("en") : el("span", { class: "zero" }, "0")), "end"]),
  ], (row) => row.type);
  shown.update(rows);
  return el("div", { class: "scroll" }, shown.element);
}

function errorsOf(groups, choose) {
  if (!groups.length) return empty("No command ended with an error.");
  return el("ul", { class: "groups" }, groups.map((group) => el("li", {},
    el("div", { class: "group-head" },
      el("button", { type: "button", class: "link", on: { click: () => choose(group) } }, el("code", {}, group.code)),
      chip(group.outcome), el("span", { class: "num" }, plural(group.commands, "command"))),
    el("p", {}, withoutReference(group.example.message ?? "Its deadline passed.")),
    el("p", { class: "muted" }, `${group.types.map(commandName).join(", ")}. Last: `, idLink("commands", group.example.command_id), " ", ago(group.example.ended)))));
}
