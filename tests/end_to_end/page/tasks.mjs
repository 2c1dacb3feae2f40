// What people come for. Each task is walked from the first page to the answer.
import assert from "node:assert/strict";

const text = (page, selector) => page.$eval(selector, (one) => one.textContent.replace(/\s+/g, " ").trim());
const texts = (page, selector) => page.$$eval(selector, (all) => all.map((one) => one.textContent.replace(/\s+/g, " ").trim()));

// The table whose title begins so: its lines, each a list of texts.
const table = (page, title) => page.$$eval("section.table", (sections, title) => {
  const section = sections.find((one) => one.querySelector("h2").textContent.startsWith(title));
  if (!section) return null;
  const rows = [...section.querySelectorAll("tbody tr")].filter((row) => !row.hidden);
  return rows.map((row) => [...row.cells].map((cell) => cell.textContent.replace(/\s+/g, " ").trim()));
}, title);

// A selector of the first element that fits and has this text.
const withText = async (page, selector, wanted) => {
  const mark = `m${Math.floor(performance.now() * 1000)}`;
  const found = await page.$$eval(selector, (all, wanted, mark) => {
    const one = all.find((one) => one.textContent.replace(/\s+/g, " ").trim().startsWith(wanted));
    if (one) one.dataset.mark = mark;
    return Boolean(one);
  }, wanted, mark);
  assert.ok(found, `nothing like "${wanted}" at ${selector} of ${page.url()}`);
  return `[data-mark="${mark}"]`;
};

const section = async (page, hand, name) => hand.follow(page, await withText(page, "nav a", name));
const search = async (page, hand, words) => {
  await hand.fill(page, "#q", words);
  await Promise.all([page.waitForNavigation({ waitUntil: "load" }), page.keyboard.press("Enter")]);
};

export const tasks = {
  async "who runs a library older than the repaired one"(page, hand, { old }) {
    await section(page, hand, "Who is hit");
    await hand.fill(page, "#software", old.software);
    await hand.fill(page, "#version", old.version);
    await hand.follow(page, ".filter button[type=submit]");
    const users = (await table(page, "Users")).map(([user]) => user);
    assert.deepEqual(users.sort(), [...old.users].sort());
    assert.match(await text(page, ".result"), /processes in \d+ jobs of \d+ users/);
    assert.ok((await texts(page, ".command code")).some((line) => line.startsWith(`ogrt uses ${old.software} --version`)));
  },

  async "why a job failed"(page, hand, { failed }) {
    await section(page, hand, "Jobs");
    await hand.fill(page, "#user", failed.user);
    await hand.choose(page, "#state", failed.state);
    await hand.follow(page, ".filter button[type=submit]");
    await hand.follow(page, await withText(page, "section.table td:first-child a", failed.name));
    assert.match(await text(page, ".sheet"), new RegExp(failed.state));
    const failures = await table(page, "Failures");
    assert.ok(failures.some((row) => row[0] === failed.program && row[1].startsWith(failed.ending)), JSON.stringify(failures));
    assert.ok((await page.$$("table.tree tr.failed")).length > 0, "the process that failed is marked in the tree");
  },

  async "how a build differs from the one before"(page, hand, { builds }) {
    await section(page, hand, "Builds");
    await hand.fill(page, "#name", builds.name);
    await hand.follow(page, ".filter button[type=submit]");
    await hand.follow(page, await withText(page, "td a.mono", builds.after));
    await hand.follow(page, await withText(page, "td a", "compare with this one before"));
    const differs = await texts(page, ".difference li");
    assert.ok(differs.some((line) => line.includes(builds.gone)), `${builds.gone} in ${differs}`);
    assert.ok(differs.some((line) => line.includes(builds.added)), `${builds.added} in ${differs}`);
  },

  async "a report as a file"(page, hand, { report }) {
    await section(page, hand, "Report");
    await hand.choose(page, "#by1", report.keys[0]);
    await hand.choose(page, "#by2", report.keys[1]);
    await hand.fill(page, "#since", report.since);
    await hand.fill(page, "#until", report.until);
    await hand.follow(page, ".filter button[type=submit]");
    const address = await page.$eval(".files a[download]", (link) => link.href);
    const file = await page.evaluate(async (address) => (await fetch(address)).text(), address);
    assert.equal(file, report.csv, "the file is what the command prints");
    const lines = await table(page, "Lines");
    assert.equal(lines.length, report.csv.trim().split("\n").length - 1);
  },

  async "which build a file is"(page, hand, { file }) {
    await Promise.all([page.waitForNavigation({ waitUntil: "load" }), hand.give(page, file.path)]);
    const facts = await text(page, ".facts");
    assert.ok(facts.includes(file.signature), facts);
    assert.ok(facts.includes(file.sha256), facts);
    await hand.follow(page, await withText(page, "main .large a", file.name));
    assert.match(await text(page, ".sheet"), new RegExp(file.signature));
  },

  async "what a user ran"(page, hand, { user }) {
    await search(page, hand, user);
    assert.match(await text(page, ".result"), /a user/);
    await hand.follow(page, await withText(page, "main a", "What this user ran, by software"));
    assert.ok((await table(page, "Lines")).length > 0);
  },

  async "which version may be retired"(page, hand, { retired }) {
    await section(page, hand, "Software");
    await hand.fill(page, "#since", "");
    await hand.follow(page, await withText(page, "td a", retired.software));
    const version = (await table(page, "Versions")).find(([version]) => version === retired.version);
    assert.ok(version, `${retired.version} is listed`);
    assert.equal(version.at(-1), "may be retired");
  },

  async "what contains a library"(page, hand, { library }) {
    await search(page, hand, library.signature);
    await hand.follow(page, await withText(page, "main .large a", library.name));
    const rows = await table(page, "What contains it");
    assert.ok(rows.some(([name]) => name.startsWith(library.contained_in)), JSON.stringify(rows));
    assert.ok((await page.$$("svg.graph a")).length >= 2, "the drawing has both");
  },

  async "who runs what nobody registered"(page, hand, { unregistered }) {
    await section(page, hand, "Unregistered");
    await hand.fill(page, "#under", unregistered.under);
    await hand.follow(page, ".filter button[type=submit]");
    await hand.follow(page, await withText(page, "td a", unregistered.path));
    const users = (await table(page, "Users")).map(([user]) => user);
    assert.deepEqual(users.sort(), [...unregistered.users].sort());
  },

  async "sort and filter a table"(page, hand) {
    await section(page, hand, "Software");
    const before = await table(page, "Software");
    await hand.press(page, await withText(page, "th button", "users"));
    const sorted = (await table(page, "Software")).map((row) => Number(row[3].replace(/,/g, "")));
    assert.deepEqual(sorted, [...sorted].sort((a, b) => b - a));
    assert.equal(await page.$eval("th[aria-sort]", (one) => one.getAttribute("aria-sort")), "descending");
    await hand.fill(page, ".narrow input", before[0][0]);
    const left = await table(page, "Software");
    assert.ok(left.length > 0 && left.length < before.length && left.every((row) => row.join(" ").toLowerCase().includes(before[0][0].toLowerCase())));
  },

  async "a question that makes no sense"(page, hand) {
    await section(page, hand, "Report");
    await hand.fill(page, "#since", "soon");
    await hand.follow(page, ".filter button[type=submit]");
    assert.match(await text(page, ".problem"), /since=soon: expected/);
    assert.match(await text(page, "h1"), /makes no sense/);
  },
};
