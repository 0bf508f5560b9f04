// One command's whole story: how it came, what it waited for, how it ended, what it led to.

import { get } from "./api.js";
import { recordingColumns } from "./columns.js";
import { el, replace } from "./dom.js";
import { ago, at, chip, commandName, copyable, idLink, json } from "./format.js";
import { empty, facts, panel, table, throttled, title, verdicts } from "./parts.js";

export async function show(root, context, id) {
  let drawn = "";
  const draw = async () => {
    const found = await get(`/api/command/${encodeURIComponent(id)}`, context);
    const text = JSON.stringify(found);
    if (text !== drawn) replace(root, ...page(found));
    drawn = text;
  };
  await draw();
  const refresh = throttled(() => draw().catch(() => {}), 1000);
  return {
    on: (name, value) => name === "event" && (value.command_id === id || root.querySelector(`[href="/recordings/${CSS.escape(value.recording_id ?? "")}"]`)) && refresh(),
    leave: refresh.cancel,
  };
}

function page(found) {
  const shown = table("Recordings of the command", recordingColumns(), (row) => row.recording_id);
  shown.update(found.recordings);
  const name = commandName(found.command_type);
  return [
    title(`${name[0].toUpperCase()}${name.slice(1)} command`, chip(found.outcome ?? found.state)),
    verdicts([found.verdict, ...found.recordings.flatMap((recording) => recording.verdicts.slice(0, 2))]),
    el("div", { class: "columns" },
      el("div", {},
        panel("Recordings", found.recordings.length ? el("div", { class: "scroll" }, shown.element) : empty("It has led to no recording.")),
        found.data && panel("Outcome as published", json(found.data))),
      el("div", { class: "side" }, panel("Facts", facts([
        ["Command", copyable(found.command_id)],
        ["Type", el("code", {}, found.command_type)],
        ["App", found.app],
        ["Received", at(found.first_seen)],
        ["Attempts", String(found.attempts)],
        ["Waits for", found.waiting && el("span", {}, found.waiting.waits_for === "session" ? "the session of meeting " : "the start ", idLink(found.waiting.waits_for === "session" ? "meetings" : "commands", found.waiting.subject), ", next try ", ago(found.waiting.due_at))],
        ["Ended", found.ended && at(found.ended)],
        ["Code", found.code && el("code", {}, found.code)],
        ["Last error", found.last_error && `${found.last_error.code}: ${found.last_error.message}`],
        ["Outcome event", found.event_id && copyable(found.event_id)],
      ])))),
  ];
}
