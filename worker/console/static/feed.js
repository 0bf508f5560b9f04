// The live feed: one line for each event.

import { el } from "./dom.js";
import { at, chip, commandName, idLink, middle, statusWord } from "./format.js";

export function feedList() {
  const list = el("ol", { class: "feed", "aria-label": "Latest events" });
  return {
    element: list,
    update(events) {
      list.replaceChildren(...events.slice(0, 30).map(line));
      if (!events.length) list.append(el("li", { class: "empty" }, "No event since the console started."));
    },
  };
}

function line(event) {
  const time = at(event.time);
  time.textContent = time.textContent.slice(11);
  return el("li", {}, time, ...words(event));
}

function words(event) {
  const recording = () => idLink("recordings", event.recording_id);
  switch (event.type) {
    case "recording.status_changed.v1":
      return [chip(event.status), el("span", {}, recording(), " ", el("span", { class: "muted" }, event.previous_status ? `was ${statusWord(event.previous_status).toLowerCase()}, by ${event.observed_by}` : `by ${event.observed_by}`))];
    case "recording.file_ready.v1":
      return [el("span", { class: "chip violet" }, `File ${event.file_index}/${event.file_count}`), el("span", {}, recording(), " ", el("span", { class: "muted", title: event.file_name }, middle(event.file_name, 30)))];
    case "recording.completed.v1":
      return [chip("UPLOADED", "Complete"), el("span", {}, recording(), " ", el("span", { class: "muted" }, `${event.file_count} files`))];
    default:
      if (event.command_id) {
        const outcome = event.type.split(".")[1];
        return [chip(outcome), el("span", {}, `${commandName(event.command_type)} `, idLink("commands", event.command_id), " ", el("span", { class: "muted" }, event.code ?? event.last_error?.code ?? ""))];
      }
      return [el("span", { class: "chip plain" }, event.type.split(".")[1].replace(/_/g, " ")), el("span", {}, recording(), " ", el("span", { class: "muted" }, event.file_name ? middle(event.file_name, 30) : ""))];
  }
}
