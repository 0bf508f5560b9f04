// One recording: from its command to each file.

import { get } from "./api.js";
import { archiveTable } from "./archive.js";
import { archiveAgain, stopRecording } from "./actions.js";
import { why } from "./columns.js";
import { el, replace } from "./dom.js";
import { TONES, ago, at, chip, copyable, idLink, json, middle, plural, recordingChip, seconds, statusWord } from "./format.js";
import { button, empty, facts, panel, table, throttled, title, verdicts } from "./parts.js";

const STOPPABLE = ["INVOKED", "RECORDING", "PAUSED"];

export async function show(root, context, id) {
  let drawn = "";
  const open = new Set();
  const draw = async () => {
    const found = await get(`/api/recordings/${encodeURIComponent(id)}`, context);
    const text = JSON.stringify(found);
    if (text === drawn) return;
    drawn = text;
    replace(root, found.recordings.map((recording) => one(recording, context, open)));
  };
  await draw();
  const refresh = throttled(() => draw().catch(() => {}), 1000);
  return {
    on(name, value) {
      if (name === "event" && (value.recording_id === id || (value.recording_ids ?? []).includes(id) || value.start_id === id || value.command_id === id)) refresh();
      if (name === "event" && root.querySelector(`[data-recording="${CSS.escape(value.recording_id ?? "")}"]`)) refresh();
    },
    leave: refresh.cancel,
  };
}

function one(view, context, open) {
  const { row } = view;
  const actions = el("div", { class: "actions" });
  if (context.session?.may_act && STOPPABLE.includes(view.status)) actions.append(button("Stop recording…", () => attempt(() => stopRecording(view)), "danger"));
  const attempt = (action) => action().catch((error) => {
    replace(problem, `${error.message}.`);
    problem.hidden = false;
  });
  const problem = el("p", { class: "notice bad", role: "alert", hidden: true });
  if (context.session?.may_act && view.archive) actions.append(button("Archive again…", () => attempt(() => archiveAgain(view.recording_id))));
  return el("article", { "data-recording": view.recording_id },
    title(`${view.kind === "track" ? "Track" : "Composite"} recording`, recordingChip(row), archiveChip(view.archive), actions),
    problem, verdicts(view.verdicts),
    el("div", { class: "columns" },
      el("div", {}, panel("Timeline", timeline(view)), panel("Files", files(view)), view.archive && panel("Archive", archive(view.archive)), panel("Published events", events(view, open))),
      el("div", { class: "side" }, panel("Facts", factsOf(view, context)), panel("People", people(view)), view.metadata && panel("Metadata", facts(Object.entries(view.metadata))))));
}

// Next to "Complete", because a complete recording may still have no copy.
function archiveChip(found) {
  if (!found) return null;
  if (found.files.some((file) => file.state === "failed")) return chip("failed", "Copies lost");
  const isRefused = (error) => error?.code === "storage_refused";
  if (found.files.some((file) => file.state === "queued" && isRefused(file.last_error)) || isRefused(found.manifest_error)) return chip("failed", "Archive refuses");
  return null;
}

function factsOf(view, context) {
  const trace = view.trace_id && context.session?.trace_url?.replace("{trace_id}", view.trace_id);
  return facts([
    ["Recording", copyable(view.recording_id)],
    ["Meeting", view.meeting_id && el("span", {}, copyable(view.meeting_id), " ", el("a", { href: `/meetings/${encodeURIComponent(view.meeting_id)}` }, "all of it"))],
    ["Session", view.session_id && copyable(view.session_id)],
    ["Start", view.start_id ? el("span", {}, copyable(view.start_id), " ", el("a", { href: `/commands/${encodeURIComponent(view.start_id)}` }, "its story")) : "another program's"],
    ["App", view.app],
    ["Duration", view.recording_duration !== null && view.stopped_time ? seconds(view.recording_duration) : null],
    ["Limit", view.stop_at ? el("span", {}, "stops ", ago(view.stop_at)) : view.start?.max_seconds ? seconds(view.start.max_seconds) : null],
    ["Start reason", view.start_reason],
    ["Stop reason", view.stop_reason],
    ["File name", view.output_file_name && el("span", { class: "id" }, view.output_file_name)],
    ["First seen", at(view.first_seen_at)],
    ["Changed", at(view.changed_at)],
    ["Trace", view.trace_id && (trace ? el("a", { href: trace, rel: "noreferrer", target: "_blank" }, view.trace_id) : copyable(view.trace_id))],
  ]);
}

function timeline(view) {
  const steps = [];
  const add = (time, tone, text, ...more) => time && steps.push({ time, tone, text, more });
  const start = view.start_command;
  if (start) {
    add(start.first_seen, "blue", "Start command received", start.attempts > 1 ? plural(start.attempts, "attempt") : null);
    if (start.ended) add(start.ended, start.outcome === "succeeded" ? "good" : "bad", `Start ${start.outcome}`, start.code && why(start));
  }
  for (const change of view.timeline) {
    add(change.observed_at, TONES[change.status], statusWord(change.status), `observed by ${change.observed_by}`, change.error && el("span", { class: "bad-text" }, `${change.error.code}: ${change.error.message}`));
  }
  for (const event of view.events) {
    const { data } = event;
    if (event.type === "recording.file_ready.v1") add(event.time, "violet", `File ${data.file_index} of ${data.file_count}`, ownerOf(data), el("span", { class: "id", title: data.file_name }, middle(data.file_name)));
    else if (event.type === "recording.completed.v1") add(event.time, "good", `Complete: ${plural(data.file_count, "file")}`);
    else if (event.type === "recording.file_url_renewed.v1") add(event.time, "plain", `New URL of file ${data.file_index}`);
    else if (event.type === "recording.file_archived.v1") add(event.time, "good", "File archived", el("span", { class: "id" }, middle(data.file_name)));
    else if (event.type === "recording.archived.v1") add(event.time, "good", `Archived: ${plural(data.file_count, "file")}`);
    else if (event.type === "recording.archive_failed.v1") add(event.time, "bad", data.final ? "File lost: it could not be archived" : "Archive refused a file", data.error && `${data.error.code}: ${data.error.message}`);
  }
  if (view.stop_at) add(view.stop_at, "plain", "The worker stops it", "its start limits its duration");
  const soonest = view.files.map((file) => file.url_expires_at).filter(Boolean).sort()[0];
  if (soonest) add(soonest, "warn", "The first download URL expires");
  steps.sort((one, other) => new Date(one.time) - new Date(other.time));
  if (!steps.length) return empty("No event of it is kept any more.");
  return el("ol", { class: "timeline" }, steps.map((step) => el("li", { class: new Date(step.time) > Date.now() ? `${step.tone} future` : step.tone },
    el("span", { class: "when" }, at(step.time)),
    el("span", { class: "what" }, el("strong", {}, step.text), step.more.filter(Boolean).map((part) => el("span", { class: "muted" }, part))))));
}

function ownerOf(data) {
  const name = data.participant?.display_name;
  const id = data.custom_participant_id ?? data.user_id;
  return name && id && name !== id ? `${name} (${id})` : name ?? id ?? null;
}

function files(view) {
  const owners = new Map(view.events.filter((event) => event.type === "recording.file_ready.v1").map((event) => [event.data.file_index, event.data]));
  const shown = table("Files", [
    ["#", (file) => file.file_index, "end"],
    ["File", (file) => el("span", { class: "id", title: file.file_name }, middle(file.file_name))],
    ["Of", (file) => ownerOf(owners.get(file.file_index) ?? file) ?? "–"],
    ["Found", (file) => ago(file.found_at), "end"],
    ["URL expires", (file) => ago(file.url_expires_at, "no URL"), "end"],
  ], (file) => file.file_index);
  shown.update(view.files);
  return view.files.length ? el("div", { class: "scroll" }, shown.element) : empty("No file yet. The sentences above say why.");
}

function archive(found) {
  const shown = archiveTable("Files in the archive", found.files, { recording: false });
  return el("div", {}, el("div", { class: "scroll" }, shown),
    el("p", { class: "muted" }, found.manifest_url ? ["Manifest ", el("span", { class: "id" }, found.manifest_url), ", written ", ago(found.manifest_at)] : "The manifest is not written yet.", found.manifest_due_at && ["; to be written ", ago(found.manifest_due_at)]));
}

function people(view) {
  const absent = view.participants_without_file ?? [];
  if (!view.people.length && !absent.length) {
    const asked = view.start?.user_ids ?? [];
    return asked.length ? el("div", {}, el("p", {}, "Asked for:"), el("ul", { class: "plain" }, asked.map((user) => el("li", { class: "id" }, view.start.custom_ids?.[user] ?? user)))) : empty("Known when the files are.");
  }
  return el("ul", { class: "people" },
    view.people.map((person) => el("li", {},
      el("strong", {}, person.display_name ?? person.custom_participant_id ?? person.user_id ?? "Somebody"),
      person.custom_participant_id && person.custom_participant_id !== person.display_name && el("span", { class: "muted id" }, person.custom_participant_id),
      el("ul", { class: "stays" }, person.stays.map((stay) => el("li", {}, at(stay.joined_at), " to ", at(stay.left_at, "the end")))))),
    absent.map((person) => el("li", { class: "absent" },
      el("strong", {}, person.custom_participant_id ?? person.user_id ?? "Somebody"), el("span", { class: "chip warn" }, person.joined ? "Joined, no file" : "Never joined"))));
}

function events(view, open) {
  if (!view.events.length) return empty("The events are not kept any more.");
  return el("div", { class: "events" },
    view.events.map((event) => {
      const details = el("details", { open: open.has(event.id), on: { toggle: () => (details.open ? open.add(event.id) : open.delete(event.id)) } },
        el("summary", {}, el("span", { class: "num muted" }, Number(event.sequence)), " ", el("code", {}, event.routing_key), " ", event.state !== "sent" && chip(event.state), " ", el("span", { class: "muted" }, ago(event.sent_at ?? event.time))),
        event.last_error && el("p", { class: "bad-text" }, event.last_error),
        json({ id: event.id, type: event.type, time: event.time, data: event.data }));
      return details;
    }),
    view.has_more_events && el("p", { class: "muted" }, "There are more events, which the console does not show."));
}
