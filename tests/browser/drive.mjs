// Opens pages in Chromium, one for each line of JSON on standard input, and answers with a line of JSON:
// what a script found out, what the console said, which requests were made, what the accessibility check found.
import { createInterface } from "node:readline";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const AsyncFunction = (async () => {}).constructor;
const profile = mkdtempSync(join(tmpdir(), "seamstep-browser-"));
const context = await chromium.launchPersistentContext(profile, {
  executablePath: process.argv[2],
  headless: true,
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
  ],
  viewport: { width: 1280, height: 900 },
});

async function visit({ url, scheme, media, width, script, screenshot, audit }) {
  const page = await context.newPage();
  page.setDefaultTimeout(8000);
  const told = [];
  const requests = [];
  page.on("console", (message) => told.push(`${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => told.push(`error: ${error}`));
  page.on("dialog", (dialog) => { told.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  const refused = (request) => request.failure()?.errorText === "csp"; // the browser asked itself, and said no
  page.on("request", (request) => requests.push(request));
  try {
    await page.setViewportSize({ width, height: 900 });
    await page.emulateMedia({ colorScheme: scheme, media });
    await page.goto(url);
    const value = await new AsyncFunction("page", script)(page);
    // The checker comes in through the debugger's door; the page itself would not let it.
    const violations = audit ? await page.evaluate(`${axe}; axe.run(document, {
      runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    }).then((result) => result.violations.map((one) => [one.impact, one.id, one.help,
      one.nodes.slice(0, 5).map((node) => node.target.join(" "))]))`) : [];
    if (screenshot) await page.screenshot({ path: screenshot, fullPage: true });
    const made = requests.filter((request) => !refused(request)).map((request) => request.url());
    return { value: value ?? null, told, requests: made, violations };
  } catch (error) {
    return { error: String(error) };
  } finally {
    await page.close();
  }
}

process.stdout.write("ready\n");
for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await visit(JSON.parse(line)))}\n`);
}
await context.close();
rmSync(profile, { recursive: true, force: true });
