// What an id may mean.

import { get, query } from "./api.js";
import { commandColumns, recordingColumns } from "./columns.js";
import { el, replace } from "./dom.js";
import { ago, idLink } from "./format.js";
import { empty, panel, table, title } from "./parts.js";

export async function show(root, context) {
  const wanted = new URLSearchParams(location.search).get("q") ?? "";
  document.getElementById("q").value = wanted;
  const found = await get(`/api/search${query({ q: wanted })}`, context);
  const only = onlyResult(found);
  if (only) {
    history.replaceState(null, "", only);
    dispatchEvent(new PopStateEvent("popstate"));
    return null;
  }
  const parts = [];
  if (found.meetings.length) parts.push(panel("Meetings", el("ul", { class: "plain" }, found.meetings.map((id) => el("li", {}, idLink("meetings", id, { whole: true }))))));
  if (found.recordings.length) parts.push(panel("Recordings", rows("Recordings found", recordingColumns(), found.recordings, "recording_id")));
  if (found.commands.length) parts.push(panel("Commands", rows("Commands found", commandColumns, found.commands, "command_id")));
  if (found.events.length) parts.push(panel("Events that name it", rows("Events found", [
    ["Event", (event) => el("code", {}, event.event_type)],
    ["About", (event) => idLink(event.event_type.startsWith("command.") ? "commands" : "recordings", event.subject)],
    ["Event id", (event) => el("span", { class: "id" }, event.event_id)],
    ["When", (event) => ago(event.created_at), "end"],
  ], found.events, "event_id")));
  if (found.has_more) parts.unshift(el("p", { class: "notice" }, "More ids begin so than are shown here: give more of the id."));
  if (!parts.length && found.is_too_short) parts.push(empty("This is no whole id. Give at least four letters of its beginning."));
  else if (!parts.length) parts.push(empty("No recording, command, meeting or kept event has this id."), el("p", {}, el("a", { href: `/dead/${encodeURIComponent(wanted)}` }, "Look for it among the dead letters")));
  if (found.looked_back_to) parts.push(el("p", { class: "muted" }, "Ids other than of recordings, commands and meetings were searched in the newest 20,000 events, back to ", ago(found.looked_back_to), "."));
  replace(root, title("Search", el("span", { class: "id" }, wanted)), ...parts);
  return null;
}

function onlyResult({ q, meetings, recordings, commands }) {
  const isExact = (id) => id?.toLowerCase() === q.toLowerCase();
  if (meetings.length === 1 && isExact(meetings[0])) return `/meetings/${encodeURIComponent(meetings[0])}`;
  if (recordings.length === 1 && isExact(recordings[0].recording_id)) return `/recordings/${encodeURIComponent(recordings[0].recording_id)}`;
  if (commands.length === 1 && isExact(commands[0].command_id)) return `/commands/${encodeURIComponent(commands[0].command_id)}`;
  if (meetings.length === 1 && !recordings.length && !commands.length) return `/meetings/${encodeURIComponent(meetings[0])}`;
  if (recordings.length + commands.length === 1 && !meetings.length) return recordings.length ? `/recordings/${encodeURIComponent(recordings[0].recording_id)}` : `/commands/${encodeURIComponent(commands[0].command_id)}`;
  return null;
}

function rows(label, columns, values, key) {
  const shown = table(label, columns, (row) => row[key]);
  shown.update(values);
  return el("div", { class: "scroll" }, shown.element);
}
