// Dead letters: commands that could not be executed, grouped by cause, and one of them.

import { dropLetters, replayLetters } from "./actions.js";
import { get } from "./api.js";
import { el, replace } from "./dom.js";
import { ago, at, commandName, copyable, json, middle, plural, short } from "./format.js";
import { button, empty, facts, panel, table, title } from "./parts.js";

export async function show(root, context, name) {
  return name ? showLetter(root, context, name) : showAll(root, context);
}

async function showAll(root, context) {
  const mayAct = context.session?.may_act;
  const chosen = new Set();
  const state = el("p", { class: "headline" });
  const changed = el("p", { class: "notice", role: "status", hidden: true }, "The queue has changed since. Refresh to see it.");
  const bar = el("div", { class: "filters", role: "group", "aria-label": "Actions on the chosen letters" });
  const groups = el("div");
  let letters = [];
  let count = null;

  const drawBar = () => {
    const wanted = letters.filter((letter) => chosen.has(letter.fingerprint)).map((letter) => letter.fingerprint);
    const run = (action) => async () => {
      try {
        if (await action(wanted)) await load();
      } catch (error) {
        replace(changed, error.message);
        changed.hidden = false;
      }
    };
    const off = !wanted.length;
    const make = (text, action, kind) => {
      const made = button(text, run(action), kind);
      made.disabled = off;
      return made;
    };
    replace(bar, mayAct
      ? [el("span", { class: "muted" }, off ? "Choose letters to act on." : `${plural(wanted.length, "letter")} chosen.`),
        make("Replay…", (all) => replayLetters(all, false)), make("Replay with new id…", (all) => replayLetters(all, true)), make("Drop…", dropLetters, "danger")]
      : el("span", { class: "muted" }, context.session?.has_token ? "Log in to replay or drop letters." : "Replay and drop need a token: start the console with WORKER_CONSOLE_TOKEN."));
  };

  const choose = (ids, wanted) => {
    for (const id of ids) wanted ? chosen.add(id) : chosen.delete(id);
    for (const box of groups.querySelectorAll("input[data-letter]")) box.checked = chosen.has(box.dataset.letter);
    for (const box of groups.querySelectorAll("input[data-group]")) {
      const own = letters.filter((letter) => causeOf(letter) === box.dataset.group);
      const number = own.filter((letter) => chosen.has(letter.fingerprint)).length;
      box.checked = number === own.length;
      box.indeterminate = number > 0 && number < own.length;
    }
    drawBar();
  };

  const drawGroups = () => {
    const byCause = new Map();
    for (const letter of letters) byCause.set(causeOf(letter), [...(byCause.get(causeOf(letter)) ?? []), letter]);
    const sorted = [...byCause.entries()].sort(([, one], [, other]) => other.length - one.length);
    replace(groups, sorted.length ? sorted.map(([cause, own]) => group(cause, own, mayAct, choose)) : panel("Letters", empty("No dead letter: every command could be read and executed.")));
  };

  async function load() {
    const found = await get("/api/dead", context);
    letters = found.letters;
    count = letters.length + found.unread;
    for (const id of [...chosen]) if (!letters.some((letter) => letter.fingerprint === id)) chosen.delete(id);
    replace(state, count ? `${plural(count, "letter")}${found.unread ? `, of which the oldest ${letters.length} are shown` : ""}.` : "The queue is empty.");
    changed.hidden = true;
    drawGroups();
    choose([], true);
  }

  replace(root, title("Dead letters", state, el("div", { class: "actions" }, button("Refresh", () => load()))), changed, bar, groups);
  await load();
  return {
    on(kind) {
      const seen = kind === "now" ? context.now?.queues?.dead?.messages : context.broker?.queues?.dead?.messages;
      // While the letters are read, the queue has none.
      if ((kind === "now" || kind === "broker") && typeof seen === "number" && seen !== count && seen > 0) changed.hidden = false;
    },
  };
}

function causeOf(letter) {
  return `${letter.reason_code} ${letter.command_type}`;
}

function group(cause, letters, mayAct, choose) {
  const [first] = letters;
  const ids = letters.map((letter) => letter.fingerprint);
  const box = (attributes, label, chosen) => el("input", { type: "checkbox", "aria-label": label, ...attributes, on: { change: (event) => choose(chosen, event.target.checked) } });
  const shown = table(`Letters: ${first.reason_code}`, [
    ...(mayAct ? [["Choose", (letter) => box({ "data-letter": letter.fingerprint }, `Choose ${letter.letter}`, [letter.fingerprint]), "check"]] : []),
    ["Letter", (letter) => el("a", { class: "id", href: `/dead/${encodeURIComponent(letter.letter)}`, title: letter.letter }, short(letter.letter))],
    ["Reason", (letter) => letter.reason ?? "", "wide"],
    ["Tries", (letter) => letter.attempts ?? "–", "end"],
    ["Replays", (letter) => letter.replays, "end"],
    ["Outcome", (letter) => (letter.has_outcome ? "published" : "none"), "end"],
    ["Dead since", (letter) => ago(letter.last_seen ?? letter.first_seen), "end"],
  ], (letter) => letter.fingerprint);
  shown.update(letters);
  const head = el("div", { class: "group-head" },
    mayAct && box({ "data-group": cause }, `Choose all ${letters.length}`, ids),
    el("h2", {}, el("code", {}, first.reason_code)), el("span", {}, commandName(first.command_type)),
    el("span", { class: "num muted" }, plural(letters.length, "letter")), el("span", { class: "muted" }, `from the ${first.dead_lettered_by === "broker" ? "broker" : "worker"}`));
  return el("section", { class: "panel", "aria-label": cause }, head, el("div", { class: "scroll" }, shown.element));
}

async function showLetter(root, context, name) {
  const { letters } = await get(`/api/dead/${encodeURIComponent(name)}`, context);
  const act = (action) => async () => {
    try {
      if (await action()) context.navigate("/dead");
    } catch (error) {
      replace(problem, error.message);
      problem.hidden = false;
    }
  };
  const problem = el("p", { class: "notice bad", role: "alert", hidden: true });
  replace(root, title("Dead letter", el("a", { href: "/dead" }, "All dead letters")), problem, letters.map((letter) => el("article", {},
    el("ul", { class: "verdicts" },
      el("li", { class: "bad" }, el("code", {}, letter.reason_code), letter.reason ? `: ${letter.reason}` : ""),
      el("li", { class: "note" }, letter.has_outcome ? "Its outcome is published. A replay with its own id only publishes it again." : "It has no outcome. A replay with its own id is executed.")),
    context.session?.may_act && el("div", { class: "filters" },
      button("Replay…", act(() => replayLetters([letter.fingerprint], false))),
      button("Replay with new id…", act(() => replayLetters([letter.fingerprint], true))),
      button("Drop…", act(() => dropLetters([letter.fingerprint])), "danger")),
    el("div", { class: "columns" },
      el("div", {}, panel("Body", body(letter)), panel("Headers", json(letter.headers))),
      el("div", { class: "side" }, panel("Facts", facts([
        ["Letter", copyable(letter.letter)],
        ["Command", letter.command_id && el("a", { class: "id", href: `/commands/${encodeURIComponent(letter.command_id)}` }, middle(letter.command_id, 40))],
        ["Type", el("code", {}, letter.command_type)],
        ["From", letter.dead_lettered_by],
        ["Attempts", letter.attempts === null ? null : String(letter.attempts)],
        ["First seen", letter.first_seen && at(letter.first_seen)],
        ["Dead since", letter.last_seen && at(letter.last_seen)],
        ["Replays", String(letter.replays)],
        ["Routing key", el("code", {}, letter.routing_key)],
        ["Content type", letter.content_type],
        ["Encoding", letter.content_encoding],
        ["Message id", letter.message_id && copyable(letter.message_id)],
        ["Correlation", letter.correlation_id && copyable(letter.correlation_id)],
        ["Reply to", letter.reply_to],
        ["Bytes", letter.bytes.toLocaleString("en")],
        ["Help", letter.reason_help && el("span", { class: "id" }, letter.reason_help)],
      ])))))));
  return null;
}

function body(letter) {
  const note = el("p", { class: "muted" }, "What may be a secret shows as [secure].");
  return letter.body_encoding === "json" ? [note, json(letter.body)] : [note, el("p", { class: "muted" }, `Not JSON; shown as ${letter.body_encoding}.`), el("pre", { class: "json", tabindex: "0" }, letter.body)];
}
