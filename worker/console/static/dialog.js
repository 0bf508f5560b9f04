// Dialogs that ask: for the token, and before each action.

import { el, replace } from "./dom.js";

function open(dialog) {
  const before = document.activeElement;
  document.body.append(dialog);
  dialog.addEventListener("close", () => {
    dialog.remove();
    before?.focus?.();
  });
  dialog.showModal();
}

// Resolves to true once `logIn(token)` has worked, to false when the person gives up.
export function askForToken(logIn) {
  return new Promise((resolve) => {
    const error = el("p", { class: "notice bad", role: "alert", hidden: true });
    const input = el("input", { type: "password", id: "token", autocomplete: "current-password", required: true });
    const form = el("form", {},
      el("h2", { id: "dialog-title" }, "Log in to act"),
      el("p", {}, "The token is that of WORKER_CONSOLE_TOKEN. It stays with the console, and this browser gets a session of 12 hours."),
      el("label", { for: "token" }, "Token"), input, error,
      el("div", { class: "buttons" },
        el("button", { type: "button", on: { click: () => dialog.close() } }, "Cancel"),
        el("button", { type: "submit", class: "primary" }, "Log in")));
    const dialog = el("dialog", { "aria-labelledby": "dialog-title" }, form);
    let done = false;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      try {
        await logIn(input.value);
        done = true;
        dialog.close();
      } catch (failure) {
        error.textContent = `${failure.message}.`;
        error.hidden = false;
        input.select();
      }
    });
    dialog.addEventListener("close", () => resolve(done));
    open(dialog);
    input.focus();
  });
}

// Shows what an action will do, and does it when the person agrees. `act()` returns sentences about
// what has happened.
export function confirmAction({ heading, lines, confirm, danger = false, act }) {
  return new Promise((resolve) => {
    let result = null;
    const error = el("p", { class: "notice bad", role: "alert", hidden: true });
    const go = el("button", { type: "button", class: danger ? "danger" : "primary" }, confirm);
    const cancel = el("button", { type: "button", on: { click: () => dialog.close() } }, "Cancel");
    const content = el("div", { class: "what" }, el("ul", {}, lines.map((line) => el("li", {}, line))));
    const question = el("h2", { id: "dialog-title" }, heading);
    const dialog = el("dialog", { "aria-labelledby": "dialog-title" }, question, content, error, el("div", { class: "buttons" }, cancel, go));
    go.addEventListener("click", async () => {
      go.disabled = true;
      try {
        result = await act();
        replace(content, el("div", { role: "status" }, el("ul", {}, result.map((line) => el("li", {}, line)))));
        question.textContent = heading.replace(/\?$/, "");
        error.hidden = true;
        go.remove();
        cancel.textContent = "Close";
        cancel.focus();
      } catch (failure) {
        error.textContent = `${failure.message}.`;
        error.hidden = false;
        go.disabled = false;
      }
    });
    dialog.addEventListener("close", () => resolve(result));
    open(dialog);
    cancel.focus();
  });
}
