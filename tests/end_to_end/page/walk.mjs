// Walks the tasks in each browser: `node walk.mjs FACTS.json`. A line for each, and the exit status
// says whether all went well.
import fs from "node:fs";
import { keyboard, launch, mouse, open } from "./browser.mjs";
import { tasks } from "./tasks.mjs";

const facts = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
let failed = 0;
for (const [browserName, hands] of [["chromium", [mouse, keyboard]], ["firefox", [mouse]]]) {
  const browser = await launch(browserName, facts.browsers);
  for (const hand of hands) {
    for (const [name, task] of Object.entries(tasks)) {
      const { page, problems } = await open(browser, facts.base);
      await page.setViewport({ width: 1280, height: 900 });
      const began = performance.now();
      try {
        await page.goto(facts.base, { waitUntil: "load" });
        await task(page, hand, facts);
        if (problems.length) throw new Error(problems.join("; "));
        console.log(`ok      ${browserName} ${hand.name}: ${name} (${Math.round(performance.now() - began)} ms)`);
      } catch (error) {
        failed += 1;
        console.log(`FAILED  ${browserName} ${hand.name}: ${name} at ${page.url()}: ${error.message.slice(0, 800)}`);
      }
      await page.close();
    }
  }
  await browser.close();
}
process.exit(failed ? 1 : 0);
