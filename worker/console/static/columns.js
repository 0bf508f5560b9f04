// The columns that several tables share.

import { el, visible } from "./dom.js";
import { ago, chip, commandName, cut, elapsed, idLink, recordingChip, seconds, withoutReference } from "./format.js";

export function lasted(row) {
  if (row.recording_duration !== null && row.stopped_time) return el("span", { class: "num" }, seconds(row.recording_duration));
  if (row.started_time && !row.stopped_time && ["RECORDING", "PAUSED"].includes(row.status)) {
    // A sandbox may run faster than this clock.
    return elapsed(new Date(row.started_time) > new Date() ? row.changed_at : row.started_time);
  }
  return el("span", { class: "muted" }, "–");
}

export function recordingColumns({ meeting = true } = {}) {
  return [
    ["Status", (row) => recordingChip(row)],
    ...(meeting ? [["Meeting", (row) => idLink("meetings", row.meeting_id)]] : []),
    ["Recording", (row) => idLink("recordings", row.recording_id)],
    ["Kind", (row) => row.kind, "minor word"],
    ["App", (row) => el("span", { title: row.app }, cut(row.app, 20)), "minor word"],
    ["Lasts", lasted, "end"],
    ["Files", (row) => row.file_count || el("span", { class: "muted" }, "–"), "end"],
    ["Changed", (row) => ago(row.changed_at), "end"],
    ["Note", note, "wide"],
  ];
}

function note(row) {
  if (row.error) return el("span", { class: "bad-text" }, `${row.error.code}: ${row.error.message}`);
  if (row.stop_at) return ["stops ", ago(row.stop_at)];
  const pairs = Object.entries(row.metadata ?? {}).map(([name, value]) => `${name}=${value}`);
  if (!pairs.length) return null;
  return el("span", { title: visible(pairs.join("\n")) }, pairs.slice(0, 2).map((pair) => cut(pair, 40)).join(" "));
}

export const commandColumns = [
  ["Outcome", (row) => chip(row.outcome ?? row.state)],
  ["Command", (row) => commandName(row.command_type)],
  ["Id", (row) => idLink("commands", row.command_id)],
  ["Why", (row) => why(row), "wide"],
  ["Tries", (row) => row.attempts, "end"],
  ["Ended", (row) => (row.ended ? ago(row.ended) : ago(row.first_seen)), "end"],
];

export function why(row) {
  const code = row.code ?? row.last_error?.code;
  if (!code) return "";
  const message = withoutReference(row.message ?? "");
  return [el("code", {}, code), message ? ` ${message}` : ""];
}
