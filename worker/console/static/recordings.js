// All recordings, by status and app.

import { get, query } from "./api.js";
import { recordingColumns } from "./columns.js";
import { el, replace } from "./dom.js";
import { STATUSES, statusWord } from "./format.js";
import { choice, pagedTable, panel, throttled, title } from "./parts.js";

export async function show(root, context) {
  const wanted = new URLSearchParams(location.search);
  const filter = { status: wanted.get("status") ?? "all", app: wanted.get("app") ?? "" };
  const list = pagedTable({
    label: "Recordings",
    columns: recordingColumns(),
    keyOf: (row) => row.recording_id,
    load: async (after) => {
      const page = await get(`/api/recordings${query({ ...filter, after })}`, context);
      return { rows: page.recordings, next: page.next };
    },
    emptyText: "No recording has this status.",
  });
  const change = (name) => (value) => {
    filter[name] = value;
    history.replaceState(null, "", `/recordings${query(filter)}`);
    list.reload();
  };
  const app = el("input", { type: "text", "aria-label": "App", placeholder: "Any app", value: filter.app, maxlength: 64, on: { change: (event) => change("app")(event.target.value.trim()) } });
  replace(root, title("Recordings"),
    panel("The latest change first",
      el("div", { class: "filters" },
        choice("Status", [["all", "Every status"], ["live", "Live"], ["ended", "Ended"], ...STATUSES.map((status) => [status, statusWord(status)])], filter.status, change("status")),
        app),
      list.element));
  await list.reload();
  const refresh = throttled(list.refresh, 2000);
  return { on: (name) => name === "event" && refresh(), leave: refresh.cancel };
}
