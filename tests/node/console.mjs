// Opens each page of the console in Chromium, looks at it as a person would, and prints one JSON
// line for each finding: {"name", "ok", "detail"}. The plan comes as JSON on stdin.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const plan = JSON.parse(readFileSync(0, "utf8"));
const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const report = (name, ok, detail = "") => console.log(JSON.stringify({ name, ok: Boolean(ok), detail: String(detail).slice(0, 2000) }));

const browser = await chromium.launch({
  executablePath: plan.chromium,
  args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--lang=en"],
});
const context = await browser.newContext({ viewport: { width: 1360, height: 900 }, colorScheme: "light", reducedMotion: "reduce", permissions: ["clipboard-read", "clipboard-write"] });
context.setDefaultTimeout(10000);
const page = await context.newPage();
const problems = [];
const hosts = new Set();
page.on("pageerror", (error) => problems.push(error.message));
page.on("console", (message) => {
  if (message.type() === "error" && !/status of (403|404|409)/.test(message.text())) problems.push(message.text());
});
page.on("dialog", (dialog) => {
  problems.push(`a dialog of hostile text: ${dialog.message()}`);
  dialog.dismiss();
});
page.on("request", (request) => hosts.add(new URL(request.url()).origin));

async function open(path) {
  await page.goto(plan.base + path);
  await page.locator("main h1").first().waitFor();
  await page.locator(path === "/" ? ".figure" : ".view > *").first().waitFor();
}

async function attempt(name, check) {
  try {
    const detail = await check();
    report(name, true, detail ?? "");
  } catch (error) {
    report(name, false, `${error.message}\n${await page.locator("main").innerText().catch(() => "")}`);
  }
}

function expect(condition, text) {
  if (!condition) throw new Error(text);
}

const RULES = { type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] };

async function axe(name, runOnly = RULES) {
  if (!(await page.evaluate(() => Boolean(window.axe)))) await page.evaluate(axeSource);
  const { violations } = await page.evaluate((only) => window.axe.run(document, { runOnly: only, resultTypes: ["violations"] }), runOnly);
  expect(!violations.length, `${name}: ${violations.map((violation) => `${violation.id}: ${violation.nodes.map((node) => node.html.slice(0, 160)).slice(0, 3).join(" | ")}`).join("\n")}`);
}

const text = () => page.locator("main").innerText();
// Pictures are for people, and each takes a fifth of a second of work.
const shot = (name) => plan.shots && page.screenshot({ path: `${plan.shots}/${name}.png` });

// Each page in each theme and width: no rule of WCAG broken, nothing wider than the window.

const pages = [
  ["now", "/"], ["recordings", "/recordings"], ["recording", `/recordings/${plan.recording}`], ["meeting", `/meetings/${plan.meeting}`],
  ["commands", "/commands"], ["command", `/commands/${plan.rejected}`], ["dead-letters", "/dead"], ["dead-letter", `/dead/${encodeURIComponent(plan.letter)}`],
  ["archive", "/archive"], ["search", `/search?q=${plan.person}`],
];

for (const [name, path] of pages) {
  await attempt(`${name} breaks no rule of WCAG and fits into a narrow window, in both themes`, async () => {
    await open(path);
    await axe(name, RULES);
    await shot(`${name}-light`);
    await page.emulateMedia({ colorScheme: "dark" });
    await axe(name, { type: "rule", values: ["color-contrast"] });
    await shot(`${name}-dark`);
    await page.setViewportSize({ width: 320, height: 720 });
    await axe(name, { type: "rule", values: ["color-contrast", "target-size", "scrollable-region-focusable"] });
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    expect(overflow <= 0, `${overflow} pixels wider than the window`);
    await shot(`${name}-narrow`);
  });
  await page.setViewportSize({ width: 1360, height: 900 });
  await page.emulateMedia({ colorScheme: "light" });
}

// The questions of somebody who sees it for the first time.

await attempt("what is being recorded now", async () => {
  await open("/");
  const row = page.getByRole("row").filter({ hasText: plan.live_recording.slice(0, 8) });
  await row.waitFor();
  expect((await row.innerText()).includes("Recording"), await row.innerText());
  expect(/\d recordings? running/.test(await text()), await text());
});

await attempt("why has this meeting no files", async () => {
  await page.keyboard.press("/");
  await page.keyboard.type(plan.empty_meeting);
  await page.keyboard.press("Enter");
  await page.waitForURL(`${plan.base}/meetings/${plan.empty_meeting}`);
  await page.getByText("It has no files").waitFor();
  expect((await text()).includes("It has no files"), await text());
  expect((await text()).includes(plan.rejection), await text());
});

await attempt("which command failed and why", async () => {
  await open("/commands");
  const group = page.getByRole("listitem").filter({ hasText: plan.rejection }).first();
  await group.waitFor();
  await group.getByRole("button", { name: plan.rejection }).click();
  const row = page.getByRole("table", { name: "Commands that have ended" }).getByRole("row").filter({ hasText: plan.rejected });
  await row.waitFor();
  expect((await row.innerText()).includes(plan.rejection), await row.innerText());
});

await attempt("is the budget short", async () => {
  await open("/");
  const budget = page.getByRole("region", { name: "Request budget" });
  expect(/[\d,]+ of [\d,]+ requests spent in/.test(await budget.innerText()), await budget.innerText());
  expect(/[\d,]+ left, [\d,]+ of them for commands/.test(await budget.innerText()), await budget.innerText());
});

await attempt("when is the next file lost", async () => {
  await open("/");
  const figure = page.locator(".figure").filter({ hasText: "Next file lost" });
  expect(/in \d+ (d|h|min)|–/.test(await figure.innerText()), await figure.innerText());
  await open(`/recordings/${plan.recording}`);
  expect(/The first download URL expires/.test(await text()), await text());
});

// What is in the pages.

await attempt("a recording shows its way from the command to each file", async () => {
  await open(`/recordings/${plan.recording}`);
  const timeline = await page.getByRole("region", { name: "Timeline" }).innerText();
  for (const step of ["Start command received", "Start succeeded", "Recording", "Uploaded", "File 1 of", "Complete:"]) {
    expect(timeline.includes(step), `${step} is missing: ${timeline}`);
  }
  await page.locator(".events summary").last().click();
  expect((await page.locator(".events pre").last().innerText()).includes('"file_count"'), "the event's JSON does not show");
});

await attempt("the archive shows what was copied last", async () => {
  await open("/archive");
  const rows = page.getByRole("table", { name: "Files that were copied last" }).getByRole("row");
  await rows.filter({ hasText: plan.recording.slice(0, 8) }).first().waitFor();
});

await attempt("the first figure names the recording that has run for longest", async () => {
  await open("/");
  const oldest = page.locator(".figure").first().getByRole("link");
  expect(await oldest.getAttribute("href") === `/recordings/${plan.live_recording}`, await oldest.getAttribute("href"));
});

await attempt("a search by the id of a person finds the recording", async () => {
  await open(`/search?q=${plan.person}`);
  expect((await text()).includes("recording.file_ready.v1"), await text());
});

await attempt("hostile text shows as text and runs nothing", async () => {
  for (const path of [`/recordings/${plan.recording}`, `/meetings/${plan.meeting}`, "/commands", "/dead", `/dead/${encodeURIComponent(plan.hostile)}`, `/commands/${encodeURIComponent(plan.hostile)}`, `/search?q=${encodeURIComponent(plan.hostile)}`, `/meetings/${encodeURIComponent(plan.hostile)}`]) {
    await page.goto(plan.base + path);
    await page.locator("main h1").first().waitFor();
    expect(!(await page.locator("main img, main script, main iframe").count()), `${path} has an element of hostile text`);
  }
  await open(`/recordings/${plan.recording}`);
  expect((await text()).includes("<img src=x onerror=alert(1)>"), await text());
  expect((await text()).includes("\\u202e"), "an override of the direction of text is not shown");
});

await attempt("the page works by keyboard alone", async () => {
  await open("/");
  await page.keyboard.press("Tab");
  expect(await page.evaluate(() => document.activeElement.className) === "skip", "the first stop is not the skip link");
  for (let step = 0; step < 4; step += 1) await page.keyboard.press("Tab");
  const reached = await page.evaluate(() => document.activeElement.textContent);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { level: 1 }).waitFor();
  await page.waitForURL(/commands|recordings|dead/);
  // The heading gets the focus as soon as the page has its figures.
  await page.waitForFunction(() => document.activeElement.tagName === "H1").catch(() => expect(false, `after ${reached} the focus is not on the heading`));
});

await attempt("a link keeps the focus when new figures arrive", async () => {
  await open("/");
  await page.locator(".figure a").first().focus();
  await page.evaluate(() => { window.before = document.activeElement; });
  await page.waitForFunction(() => !window.before.isConnected);
  expect(await page.evaluate(() => document.activeElement.getAttribute("href") === window.before.getAttribute("href")), "the focus is lost");
});

await attempt("an address that is no text is said to have no page", async () => {
  await page.goto(`${plan.base}/recordings/%E0%A4%A`);
  await page.getByRole("heading", { name: "Not found" }).waitFor();
  await page.goto(`${plan.base}/meeting/of-yesterday`);
  await page.getByRole("heading", { name: "Not found" }).waitFor();
});

await attempt("the id of a recording is copied", async () => {
  await open(`/recordings/${plan.recording}`);
  await page.getByRole("button", { name: `Copy ${plan.recording}` }).click();
  expect(await page.evaluate(() => navigator.clipboard.readText()) === plan.recording, "the clipboard has something else");
});

// Live, and actions.

// Goes on by Tab until the element has the focus, and presses the key there.
async function press(key, element) {
  await element.waitFor();
  const hasFocus = () => element.evaluate((found) => found === document.activeElement);
  for (let step = 0; step < 100 && !(await hasFocus()); step += 1) await page.keyboard.press("Tab");
  expect(await hasFocus(), `${element} is not reached by Tab`);
  await page.keyboard.press(key);
}

await attempt("without the token there is no action, and the wrong one is refused", async () => {
  await open(`/recordings/${plan.live_recording}`);
  expect(!(await page.getByRole("button", { name: "Stop recording…" }).count()), "there is a button");
  await page.getByRole("button", { name: "Log in to act" }).click();
  await page.getByLabel("Token").fill("wrong-token-of-the-console");
  await page.getByRole("dialog").getByRole("button", { name: "Log in" }).click();
  await page.getByRole("alert").filter({ hasText: "not the token" }).waitFor();
  await axe("log in");
  await page.getByLabel("Token").fill(plan.token);
  await page.getByRole("dialog").getByRole("button", { name: "Log in" }).click();
  await page.getByRole("button", { name: "Log out" }).waitFor();
  await page.waitForFunction(() => document.activeElement.textContent === "Log out").catch(() => expect(false, "the focus is lost after the log-in"));
});

await attempt("letters to choose break no rule of WCAG, in a narrow window too", async () => {
  await open("/dead");
  await axe("dead letters to choose");
  await page.setViewportSize({ width: 320, height: 720 });
  await axe("dead letters to choose, narrow", { type: "rule", values: ["target-size", "empty-table-header"] });
  await page.setViewportSize({ width: 1360, height: 900 });
});

await attempt("replayed letters are followed to their outcomes", async () => {
  await open("/dead");
  for (const name of [plan.replayed, plan.hostile]) await page.getByRole("checkbox", { name: `Choose ${name}`, exact: true }).check();
  await page.getByRole("button", { name: "Replay with new id…" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText("2 letters will go back").waitFor();
  await dialog.getByRole("button", { name: "Replay with new id" }).click();
  await dialog.getByText("2 letters replayed.").waitFor();
  await dialog.getByText("Outcome: rejected.").nth(1).waitFor({ timeout: 30000 });
  await axe("outcomes of a replay");
  await shot("replay-light");
  await dialog.getByRole("link").first().click();
  await page.waitForURL(/\/commands\/./);
});

await attempt("a letter is dropped by keyboard alone, after a confirmation that names it", async () => {
  await open("/dead");
  await press("Space", page.getByRole("checkbox", { name: `Choose ${plan.letter}`, exact: true }));
  await press("Enter", page.getByRole("button", { name: "Drop…" }));
  const dialog = page.getByRole("dialog");
  await dialog.getByText("removed permanently").waitFor();
  expect((await dialog.innerText()).includes(plan.letter), await dialog.innerText());
  await axe("confirmation");
  await shot("confirm-light");
  await press("Enter", dialog.getByRole("button", { name: "Drop the letter" }));
  await dialog.getByText("1 letter dropped.").waitFor();
  await press("Enter", dialog.getByRole("button", { name: "Close" }));
  await page.getByRole("checkbox", { name: `Choose ${plan.letter}`, exact: true }).waitFor({ state: "detached" });
});

await attempt("a recording is stopped by keyboard alone, and its page shows that at once", async () => {
  await open(`/recordings/${plan.live_recording}`);
  await press("Enter", page.getByRole("button", { name: "Stop recording…" }));
  const dialog = page.getByRole("dialog");
  await dialog.getByText("will be stopped").waitFor();
  await press("Enter", dialog.getByRole("button", { name: "Stop the recording" }));
  await dialog.getByText("was sent").waitFor();
  await dialog.getByText("Outcome: succeeded. It was executed.").waitFor({ timeout: 30000 });
  await axe("outcome of an action");
  await shot("outcome-light");
  await dialog.getByRole("heading", { name: "Stop this recording", exact: true }).waitFor();
  await press("Enter", dialog.getByRole("link", { name: "Show the command's story" }));
  await page.getByRole("heading", { name: "Stop command" }).waitFor();
  expect(!(await dialog.count()), "the dialog covers the story");
  await page.goBack();
  await page.locator(".title .chip").filter({ hasText: /Uploading|Finding files|Complete/ }).waitFor({ timeout: 30000 });
});

await attempt("events that arrive while the page loads show nevertheless", async () => {
  const isList = /\/api\/recordings\?/;
  await page.route(isList, async (route) => {
    await page.waitForTimeout(1500);
    await route.continue().catch(() => {}); // the page may have left
  });
  await open("/");
  await page.locator(".feed li").filter({ hasText: plan.live_recording.slice(0, 8) }).first().waitFor();
  await page.unrouteAll({ behavior: "ignoreErrors" });
});

await attempt("the first page changes without a reload", async () => {
  await open("/");
  await page.getByRole("listitem").filter({ hasText: plan.live_recording.slice(0, 8) }).first().waitFor();
  await page.evaluate(() => { window.isSame = true; });
  console.log(JSON.stringify({ ask: "start" }));
  await page.getByRole("row").filter({ hasText: plan.marker }).waitFor({ timeout: 30000 });
  expect(await page.evaluate(() => window.isSame), "the page was loaded again");
});

report("no request goes to another host", [...hosts].every((origin) => origin === plan.base), [...hosts].join(" "));
report("no error is in the browser's console", !problems.length, problems.join("\n"));
await browser.close();
