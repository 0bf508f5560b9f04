// One meeting: its starts and its recordings, each with what has become of it.

import { get } from "./api.js";
import { recordingColumns } from "./columns.js";
import { el, replace } from "./dom.js";
import { ago, chip, commandName, copyable, idLink, plural } from "./format.js";
import { empty, panel, table, throttled, title, verdicts } from "./parts.js";

export async function show(root, context, id) {
  let drawn = "";
  const draw = async () => {
    const found = await get(`/api/meetings/${encodeURIComponent(id)}`, context);
    const text = JSON.stringify(found);
    if (text !== drawn) replace(root, ...page(found));
    drawn = text;
  };
  await draw();
  const refresh = throttled(() => draw().catch(() => {}), 1500);
  return { on: (name, value) => name === "event" && (!value.meeting_id || value.meeting_id.toLowerCase() === id.toLowerCase()) && refresh(), leave: refresh.cancel };
}

function page(found) {
  const shown = table("Recordings of the meeting", recordingColumns({ meeting: false }), (row) => row.recording_id);
  shown.update(found.recordings);
  return [
    title("Meeting", copyable(found.meeting_id)),
    verdicts(summary(found)),
    panel("Recordings", found.recordings.length ? el("div", { class: "scroll" }, shown.element) : empty("No recording of this meeting is known.")),
    panel("Start commands", found.starts.length ? el("ul", { class: "starts" }, found.starts.map((start) => el("li", {},
      chip(start.outcome ?? start.state), " ", commandName(start.command_type), " ", idLink("commands", start.command_id), " ", el("span", { class: "muted" }, ago(start.ended ?? start.first_seen)),
      verdicts([start.verdict])))) : empty("None of the newest 10,000 commands was a start of this meeting.")),
  ];
}

// Why the meeting has no files, or how many it has.
function summary(found) {
  const files = found.recordings.reduce((sum, row) => sum + row.file_count, 0);
  const sentences = [];
  if (files) sentences.push({ level: "good", text: `It has ${plural(files, "file")} in ${plural(found.recordings.length, "recording")}.` });
  else if (found.recordings.length) sentences.push({ level: "note", text: "It has no files yet:" });
  else if (found.starts.length) sentences.push({ level: "bad", text: "It has no files, because no start of it has led to a recording:" });
  else sentences.push({ level: "bad", text: "It has no files, because no start of this meeting has come." });
  for (const row of found.recordings.slice(0, 5)) {
    const [first] = (found.verdicts[row.recording_id] ?? []).filter((verdict) => verdict.level !== "good" || !files);
    if (first) sentences.push(first);
  }
  if (!found.recordings.length) for (const start of found.starts.slice(0, 3)) sentences.push(start.verdict);
  return sentences;
}
