// What needs attention, each as one sentence.

import { plural, relative } from "./format.js";

const MINUTE = 60000;

export function concernsOf(now) {
  const concerns = [];
  const add = (level, text, href) => concerns.push({ level, text, href });
  if (now.error) {
    add("bad", `The state cannot be read: ${now.error}`);
    return concerns;
  }
  const age = (iso) => (iso ? Date.now() - new Date(iso) : 0);
  const queue = (ending) => (now.broker?.queues ?? []).find((known) => ending.test(known.name));
  if (now.broker?.state === "unavailable") add("warn", `The console gets no events: ${now.broker.reason}`);
  if (!now.replicas.length) add("bad", "No worker is alive: commands are not executed, and recordings not followed.");
  else if (!now.replicas.some((replica) => replica.leads)) add("warn", "No worker leads now: events are not published until one does.");
  const commands = queue(/\.commands$/);
  if (commands?.consumers === 0) add("bad", `Nobody consumes the command queue, which has ${plural(commands.messages, "message")}.`);
  if (now.outbox.set_aside) add("bad", `${plural(now.outbox.set_aside, "event")} could never be published.`);
  if (age(now.outbox.oldest_at) > MINUTE) add("bad", `${plural(now.outbox.events, "event")} not published, the oldest from ${relative(now.outbox.oldest_at)}.`);
  for (const budget of now.budgets) {
    if (budget.paused_until) add("warn", `The API asked for a pause of requests, which ends ${relative(budget.paused_until)}.`);
    for (const window of budget.windows) {
      if (window.for_commands <= 0) add("bad", `The budget is short: no request is left for commands in the window of ${window.seconds} s.`);
      else if (window.for_reads <= 0) add("warn", `The budget is short: no request is left for reads in the window of ${window.seconds} s.`);
    }
  }
  const dead = queue(/\.dead$/);
  if (dead?.messages) add("warn", `${plural(dead.messages, "dead letter")} to decide on.`, "/dead");
  const oldest = (status) => now.live.filter((count) => count.status === status).map((count) => count.oldest_at)[0];
  if (age(oldest("INVOKED")) > 2 * MINUTE) add("warn", `A recording has been starting since ${relative(oldest("INVOKED"))}.`, "/recordings?status=INVOKED");
  if (age(oldest("UPLOADING")) > 60 * MINUTE) add("warn", `A recording has been uploading since ${relative(oldest("UPLOADING"))}.`, "/recordings?status=UPLOADING");
  return concerns;
}
