// Browsers, and two ways to use a page: with a mouse, and with a keyboard alone.
import fs from "node:fs";
import puppeteer from "puppeteer-core";

// Starts a browser. It may reach the server and nothing else, and each request is written down.
export const launch = async (name, paths) => {
  const executablePath = paths[name];
  return name === "firefox"
    ? puppeteer.launch({ browser: "firefox", executablePath, headless: true })
    : puppeteer.launch({ executablePath, headless: true, args: ["--no-sandbox", "--hide-scrollbars"] });
};

// A new page, with everything that went wrong in it.
export const open = async (browser, base) => {
  const page = await browser.newPage();
  const problems = [];
  page.on("pageerror", (error) => problems.push(`script: ${error.message}`));
  page.on("console", (message) => {
    if (message.type() === "error" && !/Failed to load resource/.test(message.text())) problems.push(`console: ${message.text()}`);
  });
  page.on("dialog", (dialog) => { problems.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(base) && !url.startsWith("data:") && !url.startsWith("about:")) problems.push(`request to ${url}`);
  });
  page.setDefaultTimeout(45000);
  return { page, problems };
};

const settled = (page) => page.waitForNetworkIdle({ idleTime: 50, timeout: 45000 }).catch(() => {});

// Clicks and types as a mouse does.
export const mouse = {
  name: "mouse",
  async follow(page, selector) {
    const handle = await page.waitForSelector(selector);
    await handle.evaluate((one) => one.scrollIntoView({ block: "center", behavior: "instant" }));
    await Promise.all([page.waitForNavigation({ waitUntil: "load" }), handle.click()]);
    await settled(page);
  },
  async press(page, selector) {
    const handle = await page.waitForSelector(selector);
    await handle.evaluate((one) => one.scrollIntoView({ block: "center", behavior: "instant" }));
    await handle.click();
  },
  async fill(page, selector, text) {
    const handle = await page.waitForSelector(selector);
    await handle.click();
    await page.evaluate((one) => { one.value = ""; }, handle);
    await handle.type(text);
  },
  async choose(page, selector, value) {
    await page.select(selector, value);
  },
  // Drops a file onto the page.
  async give(page, path) {
    const bytes = fs.readFileSync(path).toString("base64");
    await page.evaluate((bytes, name) => {
      const content = Uint8Array.from(atob(bytes), (letter) => letter.charCodeAt(0));
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(new File([content], name));
      const event = { dataTransfer, bubbles: true, cancelable: true };
      document.body.dispatchEvent(new DragEvent("dragover", event));
      document.body.dispatchEvent(new DragEvent("drop", event));
    }, bytes, path.split("/").at(-1));
  },
};

// Goes from one control to the next until the wanted one has the focus.
const TABS_MAX = 400;
const focus = async (page, selector) => {
  await page.waitForSelector(selector);
  for (let tabs = 0; tabs < TABS_MAX; tabs += 1) {
    await page.keyboard.press("Tab");
    const there = await page.evaluate((wanted) => {
      const now = document.activeElement;
      return now !== null && now === document.querySelector(wanted);
    }, selector);
    if (there) {
      const visible = await page.evaluate(() => {
        const outline = getComputedStyle(document.activeElement);
        return outline.outlineStyle !== "none" || outline.boxShadow !== "none";
      });
      if (!visible) throw new Error(`${selector} has the focus, and nothing shows it`);
      return;
    }
  }
  throw new Error(`${selector} cannot be reached by the key Tab`);
};
export const keyboard = {
  name: "keyboard",
  async follow(page, selector) {
    await focus(page, selector);
    await Promise.all([page.waitForNavigation({ waitUntil: "load" }), page.keyboard.press("Enter")]);
    await settled(page);
  },
  async press(page, selector) {
    await focus(page, selector);
    await page.keyboard.press("Enter");
  },
  async fill(page, selector, text) {
    await focus(page, selector);
    await page.keyboard.down("Control");
    await page.keyboard.press("a");
    await page.keyboard.up("Control");
    await page.keyboard.press("Delete");
    await page.keyboard.type(text);
  },
  async choose(page, selector, value) {
    await focus(page, selector);
    for (let steps = 0; steps < 60; steps += 1) {
      if (await page.$eval(selector, (one) => one.value) === value) return;
      await page.keyboard.press(steps < 30 ? "ArrowDown" : "ArrowUp");
    }
    throw new Error(`${selector} does not take ${value}`);
  },
  // Chooses a file by the button beside the search box.
  async give(page, path) {
    await focus(page, "form.search button[type=button]");
    const waiting = page.waitForFileChooser();
    // The browser must have been told that the chooser is ours.
    await new Promise((done) => setTimeout(done, 500));
    await page.keyboard.press("Enter");
    await (await waiting).accept([path]);
  },
};
