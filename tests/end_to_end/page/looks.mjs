// Looks at each page as people do: `node looks.mjs FACTS.json FOLDER`. Pictures at four widths,
// light and dark; nothing wider than the window; nothing that axe finds serious; no request to
// anywhere else; the times of the first answer and of the first content.
import axe from "axe-core";
import fs from "node:fs";
import path from "node:path";
import { launch, open } from "./browser.mjs";

const [, , factsPath, folder] = process.argv;
const facts = JSON.parse(fs.readFileSync(factsPath, "utf8"));
const WIDTHS = [360, 800, 1440, 2560];
// The widths at which axe looks: the narrow one is light, the other one dark.
const CHECKED = [360, 800];
const ANSWER_MS = 100;
const CONTENT_MS = 300;
fs.mkdirSync(folder, { recursive: true });
const browser = await launch("chromium", facts.browsers);
let failed = 0;
const complain = (what) => { failed += 1; console.log(`FAILED  ${what}`); };
for (const [name, address] of Object.entries(facts.pages)) {
  for (const width of WIDTHS) {
    const { page, problems } = await open(browser, facts.base);
    const scheme = width === 800 ? "dark" : "light";
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
    await page.setViewport({ width, height: 900 });
    await page.goto(facts.base + address, { waitUntil: "load" });
    const times = await page.evaluate(async () => {
      // The first paint may come after the load.
      for (let tries = 0; tries < 50 && !performance.getEntriesByName("first-contentful-paint").length; tries += 1) {
        await new Promise((done) => setTimeout(done, 20));
      }
      const [answer] = performance.getEntriesByType("navigation");
      const [paint] = performance.getEntriesByName("first-contentful-paint");
      return { answer: answer.responseStart - answer.requestStart, content: paint ? paint.startTime : NaN };
    });
    await page.screenshot({ path: path.join(folder, `${name}-${width}.png`), fullPage: true, captureBeyondViewport: true });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    if (wide > 0) complain(`${name} at ${width}: ${wide} pixels wider than the window`);
    if (problems.length) complain(`${name} at ${width}: ${problems.join("; ")}`);
    if (!CHECKED.includes(width)) { console.log(`looked  ${name} at ${width}`); await page.close(); continue; }
    await page.evaluate(axe.source);
    const found = await page.evaluate(async () => {
      const { violations } = await axe.run(document, { resultTypes: ["violations"] });
      return violations.map(({ id, impact, nodes }) => ({ id, impact, where: nodes.slice(0, 3).map((node) => node.target.join(" ")) }));
    });
    for (const { id, impact, where } of found) {
      const line = `${name} at ${width}, ${scheme}: ${impact} ${id}: ${where.join(", ")}`;
      if (["serious", "critical"].includes(impact)) complain(line); else console.log(`note    ${line}`);
    }
    console.log(`looked  ${name} at ${width}: answered in ${times.answer.toFixed(0)} ms, content in ${times.content.toFixed(0)} ms`);
    if (facts.is_timed && width === 360 && times.answer > ANSWER_MS) complain(`${name}: answered in ${times.answer.toFixed(0)} ms`);
    if (facts.is_timed && width === 360 && times.content > CONTENT_MS) complain(`${name}: content in ${times.content.toFixed(0)} ms`);
    await page.close();
  }
}
// Pictures for the documents: what a window shows, in the size of a usual screen.
for (const [name, address] of Object.entries(facts.pictures ?? {})) {
  const { page } = await open(browser, facts.base);
  await page.setViewport({ width: 1200, height: 800 });
  await page.goto(facts.base + address, { waitUntil: "load" });
  await page.screenshot({ path: path.join(folder, `${name}.png`) });
  await page.close();
}
await browser.close();
process.exit(failed ? 1 : 0);
