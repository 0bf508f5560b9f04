// Takes the pictures of the console for the documents, in both themes. The plan comes as JSON on
// stdin: where the console is, its token, the ids to show, and the folder for the pictures.
import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";

const plan = JSON.parse(readFileSync(0, "utf8"));
const browser = await chromium.launch({
  executablePath: plan.chromium,
  args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--lang=en"],
});
const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, reducedMotion: "reduce" });
const page = await context.newPage();

async function open(path, ready) {
  await page.goto(plan.base + path);
  await page.locator(ready).first().waitFor();
  await page.locator(".link-state .chip.good").waitFor();
}

// The same picture in both themes. `height` is that of the window.
async function shoot(name, height) {
  await page.setViewportSize({ width: 1280, height });
  for (const scheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme: scheme });
    await page.screenshot({ path: `${plan.folder}/${name}${scheme === "dark" ? "-dark" : ""}.png` });
  }
}

await open("/", ".figure");
await page.getByRole("row").nth(9).waitFor();
await shoot("now", 860);
await open(`/recordings/${plan.recording}`, ".timeline");
await shoot("recording", 860);
await open("/commands", ".chart");
await shoot("commands", 860);
await open(`/commands/${plan.command}`, ".verdicts");
await shoot("command", 560);
await open("/archive", "table");
await shoot("archive", 560);

await page.getByRole("button", { name: "Log in to act" }).click();
await page.getByLabel("Token").fill(plan.token);
await page.getByRole("dialog").getByRole("button", { name: "Log in" }).click();
await page.getByRole("button", { name: "Log out" }).waitFor();
await open("/dead", "table");
await shoot("dead-letters", 560);
await page.getByRole("checkbox", { name: "Choose all 3" }).check();
await page.getByRole("button", { name: "Drop…" }).click();
await page.getByRole("dialog").getByText("removed permanently").waitFor();
await shoot("confirm", 560);
await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
await page.getByRole("button", { name: "Replay with new id…" }).click();
await page.getByRole("dialog").getByRole("button", { name: "Replay with new id" }).click();
await page.getByRole("dialog").getByText("Outcome: rejected.").nth(2).waitFor({ timeout: 30000 });
await shoot("replay", 620);
await browser.close();
