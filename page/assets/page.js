// What the page's script adds: a sign of progress, tables that sort and filter, commands that copy,
// files that are looked for by what they hold, and processes that load while one scrolls. Every
// page works without it. Text out of the record is only ever set as text.
"use strict";

const element = (name, facts = {}, ...children) => {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(facts)) {
    if (key in made) made[key] = value; else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
};

// Progress: said when an answer takes more than half a second.
const progress = element("div", { id: "progress", role: "status", hidden: true });
let waiting = 0;
const begin = (words) => {
  clearTimeout(waiting);
  waiting = setTimeout(() => { progress.textContent = words; progress.hidden = false; }, 500);
};
const end = () => { clearTimeout(waiting); progress.hidden = true; };
document.body.prepend(progress);
addEventListener("pageshow", end);
document.addEventListener("submit", () => begin("The server works on the answer …"));
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href]");
  const leaves = link && link.origin === location.origin && !link.hasAttribute("download")
    && !event.defaultPrevented && !event.ctrlKey && !event.metaKey && !event.shiftKey && event.button === 0
    && !(link.hash && link.pathname === location.pathname && link.search === location.search);
  if (leaves) begin("The server works on the answer …");
});

// An empty field says nothing in an address that is sent to a colleague.
document.addEventListener("formdata", (event) => {
  for (const name of new Set(event.formData.keys())) {
    const values = event.formData.getAll(name).filter((value) => value !== "");
    event.formData.delete(name);
    for (const value of values) event.formData.append(name, value);
  }
});

// Tables that sort and filter.
const valueOf = (row, at) => {
  const cell = row.cells[at];
  return cell.dataset.value === undefined ? cell.textContent.trim() : Number(cell.dataset.value);
};
const sortBy = (table, at, ascending) => {
  const sign = ascending ? 1 : -1;
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => [valueOf(row, at), row]);
  rows.sort(([a], [b]) => sign * (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true })));
  body.append(...rows.map(([, row]) => row));
  [...table.tHead.rows[0].cells].forEach((title, index) => {
    if (index === at) title.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    else title.removeAttribute("aria-sort");
  });
};
document.querySelectorAll("section.table").forEach((section, number) => {
  const table = section.querySelector("table:not(.tree)");
  if (!table || table.tBodies[0].rows.length < 2) return;
  [...table.tHead.rows[0].cells].forEach((title, at) => {
    if (!title.textContent) return;
    const button = element("button", { type: "button", textContent: title.textContent });
    button.addEventListener("click", () => {
      const now = title.getAttribute("aria-sort");
      sortBy(table, at, now ? now === "descending" : !title.classList.contains("num"));
    });
    title.replaceChildren(button);
  });
  const rows = table.tBodies[0].rows;
  if (rows.length < 8) return;
  const id = `filter${number}`;
  const box = element("input", { id, type: "search", autocomplete: "off" });
  const count = element("span", { role: "status", className: "faint" });
  box.addEventListener("input", () => {
    const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      shown += row.hidden ? 0 : 1;
    }
    count.textContent = words.length ? `${shown} of ${rows.length} lines` : "";
  });
  section.querySelector(".files").prepend(
    element("span", { className: "narrow" }, element("label", { htmlFor: id, textContent: "only lines with" }), box, count));
});

// Comma-separated values of a table that the server makes no file of: the lines as they are shown.
const field = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
document.querySelectorAll("section.table").forEach((section) => {
  const table = section.querySelector("table");
  const files = section.querySelector(".files");
  if (!table || !files || files.querySelector("a[download]")) return;
  const button = element("button", { type: "button", textContent: "CSV" });
  button.setAttribute("aria-label", `CSV of ${section.querySelector("h2").textContent}`);
  button.addEventListener("click", () => {
    const rows = [...table.rows].filter((row) => !row.hidden);
    const text = rows.map((row) => [...row.cells].map((cell) => field(cell.textContent.replace(/\s+/g, " ").trim())).join(",")).join("\n");
    const link = element("a", { href: URL.createObjectURL(new Blob([`${text}\n`], { type: "text/csv" })), download: "table.csv" });
    document.body.append(link);
    link.click();
    link.remove();
    URL.revokeObjectURL(link.href);
  });
  files.append(button);
});

// Commands that copy. A page that did not come by TLS has no clipboard, so the text is selected.
document.querySelectorAll(".command").forEach((place) => {
  const code = place.querySelector("code");
  const button = element("button", { type: "button", textContent: "Copy" });
  button.setAttribute("aria-label", `Copy the command ${code.textContent}`);
  button.addEventListener("click", async () => {
    const range = document.createRange();
    range.selectNodeContents(code);
    const selection = getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
    try {
      if (navigator.clipboard) await navigator.clipboard.writeText(code.textContent);
      else document.execCommand("copy");
      button.textContent = "Copied";
    } catch { button.textContent = "Selected"; }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  place.append(button);
});

// Processes of a large job: the next ones are loaded when their link comes near, and those far above
// are let go, so that a million processes never are in the page at once.
const ROWS_MAX = 3000;
const more = document.querySelector(".next");
const body = document.querySelector("table.tree tbody[data-next]");
if (more && body && body.dataset.next) {
  let busy = false;
  const link = more.querySelector("a");
  const said = element("span", { role: "status", className: "faint" });
  more.append(" ", said);
  const load = async () => {
    if (busy || !body.dataset.next) return;
    busy = true;
    begin("Further processes are loaded …");
    try {
      const answer = await fetch(body.dataset.next, { headers: { accept: "text/html" } });
      const text = await answer.text();
      if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
      const rows = new DOMParser().parseFromString(text, "text/html").querySelector("tbody");
      body.dataset.next = rows.dataset.next || "";
      const added = rows.rows.length;
      body.append(...rows.rows);
      let gone = 0;
      while (body.rows.length > ROWS_MAX) { body.rows[0].remove(); gone += 1; }
      said.textContent = `${added} more lines` + (gone ? "; the first ones are no longer shown" : "");
      if (body.dataset.next) {
        const address = new URL(body.dataset.next, location.href);
        address.pathname = "/job";
        link.href = address.href;
      } else { link.remove(); said.textContent = "These are all."; }
    } catch (problem) {
      said.textContent = `Not loaded: ${problem.message}. The link tries it again.`;
      observer.disconnect();
    }
    end();
    busy = false;
  };
  const observer = new IntersectionObserver((seen) => { if (seen.some((one) => one.isIntersecting)) load(); }, { rootMargin: "600px" });
  observer.observe(more);
  link.addEventListener("click", (event) => { event.preventDefault(); event.stopPropagation(); load(); });
}

// A file that is dropped is hashed and its note is read here: its contents are not sent.
const HEAD_MAX = 512 << 20;
const K = new Uint32Array(64);
const H0 = new Uint32Array(8);
{
  // The constants of SHA-256 are the fractional parts of the roots of the first primes.
  const part = (x) => ((x - Math.floor(x)) * 2 ** 32) >>> 0;
  let found = 0;
  for (let n = 2; found < 64; n += 1) {
    let prime = true;
    for (let d = 2; d * d <= n; d += 1) if (n % d === 0) { prime = false; break; }
    if (!prime) continue;
    if (found < 8) H0[found] = part(Math.sqrt(n));
    K[found] = part(Math.cbrt(n));
    found += 1;
  }
}
class Sha256 {
  constructor() { this.h = H0.slice(); this.w = new Uint32Array(64); this.rest = new Uint8Array(64); this.kept = 0; this.length = 0; }
  block(bytes, at) {
    const w = this.w;
    const view = new DataView(bytes.buffer, bytes.byteOffset + at, 64);
    for (let i = 0; i < 16; i += 1) w[i] = view.getUint32(i * 4);
    const turn = (x, n) => (x >>> n) | (x << (32 - n));
    for (let i = 16; i < 64; i += 1) {
      const a = turn(w[i - 15], 7) ^ turn(w[i - 15], 18) ^ (w[i - 15] >>> 3);
      const b = turn(w[i - 2], 17) ^ turn(w[i - 2], 19) ^ (w[i - 2] >>> 10);
      w[i] = w[i - 16] + a + w[i - 7] + b;
    }
    let [a, b, c, d, e, f, g, h] = this.h;
    for (let i = 0; i < 64; i += 1) {
      const t1 = (h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) + K[i] + w[i]) | 0;
      const t2 = ((turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      h = g; g = f; f = e; e = (d + t1) | 0; d = c; c = b; b = a; a = (t1 + t2) | 0;
    }
    [a, b, c, d, e, f, g, h].forEach((value, i) => { this.h[i] += value; });
  }
  add(bytes) {
    this.length += bytes.length;
    let at = 0;
    if (this.kept) {
      const take = Math.min(64 - this.kept, bytes.length);
      this.rest.set(bytes.subarray(0, take), this.kept);
      this.kept += take;
      at = take;
      if (this.kept < 64) return;
      this.block(this.rest, 0);
      this.kept = 0;
    }
    for (; at + 64 <= bytes.length; at += 64) this.block(bytes, at);
    this.rest.set(bytes.subarray(at));
    this.kept = bytes.length - at;
  }
  text() {
    const bits = this.length * 8;
    const fill = new Uint8Array((this.kept < 56 ? 64 : 128) - this.kept);
    fill[0] = 0x80;
    const view = new DataView(fill.buffer);
    view.setUint32(fill.length - 8, Math.floor(bits / 2 ** 32));
    view.setUint32(fill.length - 4, bits >>> 0);
    this.add(fill);
    return [...this.h].map((word) => word.toString(16).padStart(8, "0")).join("");
  }
}
const hex = (bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");

// The signature and the build-id out of an ELF file's notes. Whatever does not fit is not read.
const notesOf = async (file) => {
  const bytes = async (from, length) => new DataView(await file.slice(from, from + length).arrayBuffer());
  const found = { signature: "", build_id: "" };
  const head = await bytes(0, 64);
  if (head.byteLength < 52 || head.getUint32(0) !== 0x7f454c46) return found;
  const wide = head.getUint8(4) === 2;
  const little = head.getUint8(5) === 1;
  const number = (view, at) => (wide ? Number(view.getBigUint64(at, little)) : view.getUint32(at, little));
  const start = number(head, wide ? 32 : 28);
  const size = head.getUint16(wide ? 54 : 42, little);
  const count = head.getUint16(wide ? 56 : 44, little);
  if (size < (wide ? 56 : 32)) return found;
  const table = await bytes(start, size * count);
  for (let i = 0; (i + 1) * size <= table.byteLength; i += 1) {
    const at = i * size;
    if (table.getUint32(at, little) !== 4) continue;
    const offset = number(table, at + (wide ? 8 : 4));
    const length = Math.min(number(table, at + (wide ? 32 : 16)), 1 << 20);
    const align = number(table, at + (wide ? 48 : 28)) === 8 ? 8 : 4;
    const notes = await bytes(offset, length);
    const up = (value) => Math.ceil(value / align) * align;
    for (let from = 0; from + 12 <= notes.byteLength;) {
      const [name, desc, kind] = [0, 4, 8].map((place) => notes.getUint32(from + place, little));
      const body = from + up(12 + name);
      if (body + desc > notes.byteLength) break;
      const owner = String.fromCharCode(...new Uint8Array(notes.buffer, from + 12, Math.min(name, 12))).replace(/\0+$/, "");
      const content = new Uint8Array(notes.buffer, body, desc);
      if (owner === "GNU" && kind === 3 && !found.build_id) found.build_id = hex(content.subarray(0, 64));
      if (owner === "OGRT" && kind === 0x4f475254 && !found.signature) {
        const id = content[0] === 2 ? hex(content.subarray(8, 24)) : String.fromCharCode(...content.subarray(1, 37)).replace(/-/g, "");
        if (/^[0-9a-f]{32}$/.test(id)) found.signature = id.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
      }
      from = up(body + desc);
    }
  }
  return found;
};
const digestOf = async (file) => {
  const hash = new Sha256();
  const PIECE = 4 << 20;
  for (let at = 0; at < file.size; at += PIECE) {
    hash.add(new Uint8Array(await file.slice(at, at + PIECE).arrayBuffer()));
    progress.textContent = `Reading ${file.name}: ${Math.floor((100 * at) / file.size)} %`;
    progress.hidden = false;
  }
  return hash.text();
};
const lookFor = async (file) => {
  if (!file) return;
  try {
    const found = await notesOf(file);
    const sha256 = file.size <= HEAD_MAX ? await digestOf(file) : "";
    const query = new URLSearchParams({ file: file.name.slice(0, 200) });
    for (const [name, value] of Object.entries({ ...found, sha256 })) if (value) query.set(name, value);
    location.assign(`/search?${query}`);
  } catch (problem) {
    progress.textContent = `The file ${file.name} cannot be read: ${problem.message}`;
    progress.hidden = false;
  }
};
const drop = element("div", { id: "drop", hidden: true, textContent: "Drop the file: its note and its digest are looked for. The file is not sent." });
document.body.append(drop);
const hasFile = (event) => event.dataTransfer && [...event.dataTransfer.types].includes("Files");
addEventListener("dragover", (event) => { if (hasFile(event)) { event.preventDefault(); drop.hidden = false; } });
addEventListener("dragleave", (event) => { if (!event.relatedTarget) drop.hidden = true; });
addEventListener("drop", (event) => {
  if (!hasFile(event)) return;
  event.preventDefault();
  drop.hidden = true;
  lookFor(event.dataTransfer.files[0]);
});
const search = document.querySelector("form.search");
if (search) {
  const input = element("input", { type: "file", hidden: true });
  const button = element("button", { type: "button", textContent: "File" });
  button.setAttribute("aria-label", "Search by a file: your browser reads it, and the file is not sent");
  button.addEventListener("click", () => input.click());
  input.addEventListener("change", () => lookFor(input.files[0]));
  search.append(button, input);
}
