"use strict";

// One row of `items`, as nsfwscan.review.items writes it.
const FIELDS = [
  "path", "status", "score", "reason", "detail", "sha256", "sha1", "width", "height", "frames",
  "views", "frame", "total", "bytes", "date", "image", "note", "href",
  "uncertain",
];
const GAP = 10, LEAST_CELL = 176, CAPTION = 52;  // pixels
const BINS = 1000;
const MARKS = { safe: "✓ safe", indecent: "✗ indecent", mixed: "✓ ✗ mixed" };

const by = (id) => document.getElementById(id);
const make = (tag, text = "", name = "") => {
  const element = document.createElement(tag);
  element.textContent = text;
  element.className = name;
  return element;
};
const number = new Intl.NumberFormat();
const count = (n, word) => `${number.format(n)} ${word}${n === 1 ? "" : "s"}`;

const scan = JSON.parse(by("facts-of-scan").textContent);
let scored = 0;
const seen = new Set();
const all = JSON.parse(by("items").textContent).map((row) => {
  const item = {};
  FIELDS.forEach((name, i) => { item[name] = row[i]; });
  const cut = item.path.lastIndexOf("/");
  item.folder = cut < 0 ? "" : item.path.slice(0, cut);
  item.name = item.path.slice(cut + 1);
  if (item.status !== "error") item.group = scan.groups[scored++];
  return item;
}).filter((item) => {  // a file that was scanned twice is listed once
  const key = `${item.path}\0${item.sha256}`;
  return !seen.has(key) && seen.add(key);
});
const images = all.filter((item) => item.status !== "error");
const errors = all.filter((item) => item.status === "error");

// Decisions: by the SHA-256 of the bytes, so that equal files are decided together.

// Each has a key of its own in the storage: another tab with this page writes there as well.

const KEY = `nsfwscan-review:${scan.id}:`;
const decisions = new Map();
let kept = true;
let undoable = [];

function load() {
  decisions.clear();
  try {
    for (const key of Object.keys(localStorage)) {
      if (key.startsWith(KEY)) decisions.set(key.slice(KEY.length), JSON.parse(localStorage.getItem(key)));
    }
  } catch { kept = false; }
}

function set(sha256, decision) {
  if (decision) decisions.set(sha256, decision);
  else decisions.delete(sha256);
  try {
    if (decision) localStorage.setItem(KEY + sha256, JSON.stringify(decision));
    else localStorage.removeItem(KEY + sha256);
  } catch { kept = false; }
}

function decide(items, decision) {
  const step = new Map();
  const decided = `${new Date().toISOString().slice(0, 19)}Z`;
  for (const { sha256 } of items) {
    if (step.has(sha256)) continue;
    step.set(sha256, decisions.get(sha256));
    set(sha256, decision ? { decision, decided } : null);
  }
  undoable.push(step);
  changed();
}

function undo() {
  const step = undoable.pop();
  if (!step) return say("There is nothing to undo.");
  for (const [sha256, before] of step) set(sha256, before);
  changed();
  const [sha256] = step.keys();
  const at = entries.findIndex((entry) => entry.members.some((item) => item.sha256 === sha256));
  if (at >= 0) go(at);
  say("Undone.");
}

function changed() {
  if (by("undecided").checked) choose();
  else draw(true);
  progress();
  if (by("large").open) showLarge();
}

// Another tab has decided. The list stays as it is: a key may be about to be pressed.

let awaited = 0;

function onStorage({ key, newValue }) {
  if (key === null) load();
  else if (!key.startsWith(KEY)) return;
  else {
    const sha256 = key.slice(KEY.length);
    if (newValue) decisions.set(sha256, JSON.parse(newValue));
    else decisions.delete(sha256);
    for (const step of undoable) step.delete(sha256);  // this tab no longer undoes it
    undoable = undoable.filter((step) => step.size);
  }
  if (!awaited) awaited = setTimeout(showOthers);
}

function showOthers() {
  awaited = 0;
  draw(true);
  progress();
  if (by("large").open) showLarge();
}

const statusOf = (item) => item.status + (item.uncertain ? ", uncertain" : "");
const decisionOf = (item) => decisions.get(item.sha256)?.decision ?? "";

/** Say what is decided about an entry: a decision, "mixed", "1 of 2 decided", or nothing. */
function stateOf({ members }) {
  const found = members.map(decisionOf).filter(Boolean);
  if (!found.length) return "";
  if (found.length < members.length) return `${found.length} of ${members.length} decided`;
  return new Set(found).size === 1 ? found[0] : "mixed";
}

const isDecided = ({ members }) => members.every(decisionOf);

function progress() {
  const decided = images.filter(decisionOf).length;
  let text = `${number.format(decided)} of ${number.format(images.length)} decided`;
  if (scan.unlisted) text += `; ${number.format(scan.unlisted)} safe ones with lower scores are not listed`;
  if (!kept) text += "; this browser does not keep them, so save them before you leave";
  by("progress").textContent = text;
  by("undo").disabled = !undoable.length;
  expect();
}

// A path has one decision: about the content that it had last.
function exported() {
  const byPath = new Map(images.filter(decisionOf).map((item) => [item.path, {
    path: item.path, sha256: item.sha256, sha1: item.sha1, status: item.status,
    score: item.score, ...decisions.get(item.sha256),
  }]));
  return { schema: 1, base: scan.base, decisions: [...byPath.values()] };
}

function saveFile() {
  const content = exported();
  const link = make("a");
  const blob = new Blob([JSON.stringify(content, null, 1)], { type: "application/json" });
  link.href = URL.createObjectURL(blob);
  link.download = "decisions.json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  say(`Saved ${count(content.decisions.length, "decision")} as decisions.json.`);
}

function say(text) { by("said").textContent = text; }

// Filter, sort, fold.

let folder = null;
let entries = [];  // { front, members }: a front image, and the images that are folded behind it

const ORDERS = {
  score: (a, b) => b.score - a.score,
  "-score": (a, b) => a.score - b.score,
  folder: (a, b) => compare(a.folder, b.folder) || compare(a.name, b.name),
  name: (a, b) => compare(a.name, b.name),
  date: (a, b) => (a.date ?? 0) - (b.date ?? 0),
  "-date": (a, b) => (b.date ?? 0) - (a.date ?? 0),
};
const { compare } = new Intl.Collator(undefined, { numeric: true });

// The slider has steps. The one nearest to the scan's threshold stands for just that.

const OWN = Math.round(scan.threshold * BINS);
const position = () => Number(by("threshold").value);
const threshold = () => (position() === OWN ? scan.threshold : position() / BINS);

function choose() {
  const front = entries[current]?.front;
  const text = by("text").value.toLowerCase();
  const status = by("status").value;
  const least = Math.max(Number(by("least").value), by("above").checked ? threshold() : 0);
  const most = by("most").value === "" ? 1 : Number(by("most").value);
  const undecided = by("undecided").checked;
  const inFolder = (item) => folder === null || item.folder === folder
    || item.folder.startsWith(folder === "/" ? "/" : `${folder}/`);
  const chosen = images.filter((item) => item.score >= least && item.score <= most
    && (!status || (status === "uncertain" ? item.uncertain : item.status === status))
    && (!undecided || !decisionOf(item))
    && (!text || item.path.toLowerCase().includes(text))
    && inFolder(item));
  chosen.sort(ORDERS[by("sort").value]);
  const fold = by("fold").checked;
  const found = new Map();
  for (const item of chosen) {
    const key = fold ? item.group : found.size;
    const entry = found.get(key);
    if (entry) entry.members.push(item);
    else found.set(key, { front: item, members: [item] });
  }
  entries = [...found.values()];
  by("empty").hidden = entries.length > 0;
  by("tab-images").textContent = `Images ${number.format(chosen.length)}`
    + (chosen.length < images.length ? ` of ${number.format(images.length)}` : "");
  const again = entries.findIndex((entry) => entry.members.includes(front));
  current = again >= 0 ? again : Math.max(0, Math.min(current, entries.length - 1));
  draw(true);
}

// The grid: only the rows in view exist.

let current = 0;
let columns = 1;
let rowHeight = 1;
const drawn = new Map();

function measure() {
  const scroll = by("scroll"), grid = by("grid");
  const style = getComputedStyle(scroll);
  const width = scroll.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
  columns = Math.max(2, Math.floor((width + GAP) / (LEAST_CELL + GAP)));
  const cell = Math.floor((width - GAP * (columns - 1)) / columns);
  rowHeight = cell + CAPTION + GAP;
  grid.style.setProperty("--cell", `${cell}px`);
  grid.style.setProperty("--row", `${rowHeight}px`);
  draw(true);
}

function draw(anew = false) {
  const grid = by("grid"), scroll = by("scroll");
  const rows = Math.ceil(entries.length / columns);
  if (anew) {
    grid.style.height = `${rows * rowHeight}px`;
    grid.setAttribute("aria-rowcount", rows);
    grid.setAttribute("aria-colcount", columns);
    grid.hidden = !rows;
  }
  const focused = grid.contains(document.activeElement);
  const first = Math.max(0, Math.floor(scroll.scrollTop / rowHeight) - 1);
  const last = Math.min(rows, Math.ceil((scroll.scrollTop + scroll.clientHeight) / rowHeight) + 1);
  for (const [row, element] of drawn) {
    if (anew || row < first || row >= last) {
      element.remove();
      drawn.delete(row);
    }
  }
  for (let row = first; row < last; row += 1) {
    if (!drawn.has(row)) {
      const element = makeRow(row);
      const next = [...grid.children].find((other) => Number(other.ariaRowIndex) > row + 1);
      grid.insertBefore(element, next ?? null);
      drawn.set(row, element);
    }
  }
  if (focused && !grid.contains(document.activeElement)) cellAt(current)?.focus({ preventScroll: true });
}

function makeRow(row) {
  const element = make("div");
  element.setAttribute("role", "row");
  element.ariaRowIndex = row + 1;
  element.style.top = `${row * rowHeight}px`;
  for (let i = row * columns; i < Math.min(entries.length, (row + 1) * columns); i += 1) {
    element.append(makeCell(i));
  }
  return element;
}

function pictureOf(item) {
  if (!item.image) return make("span", item.note, "note");
  const image = make("img");
  image.alt = "";
  image.decoding = "async";
  image.src = item.image;
  return image;
}

function makeCell(i) {
  const { front, members } = entries[i];
  const cell = make("div", "", "cell");
  const state = stateOf(entries[i]);
  cell.setAttribute("role", "gridcell");
  cell.ariaColIndex = (i % columns) + 1;
  cell.tabIndex = i === current ? 0 : -1;
  cell.dataset.at = i;
  cell.dataset.decision = state;
  cell.title = front.path;
  const view = make("div", "", "view");
  view.append(pictureOf(front));
  if (members.length > 1) view.append(make("span", `×${members.length}`, "count"));
  const facts = make("div", "", "facts");
  facts.append(make("b", front.score.toFixed(2)));
  if (state) facts.append(make("span", MARKS[state] ?? state, "mark"));
  else facts.append(make("span", statusOf(front)));
  cell.append(view, make("div", front.name, "name"), facts);
  const similar = members.length > 1 ? `, with ${count(members.length - 1, "similar image")}` : "";
  cell.ariaLabel = `${front.name}, score ${front.score.toFixed(2)}, ${statusOf(front)}, `
    + `${state in MARKS ? `decided ${state}` : state || "undecided"}${similar}`;
  return cell;
}

function cellAt(i) {
  return by("grid").querySelector(`[data-at="${i}"]`);
}

function go(i, { focus = true } = {}) {
  if (!entries.length) return;
  const before = cellAt(current);
  if (before) before.tabIndex = -1;
  current = Math.max(0, Math.min(i, entries.length - 1));
  const scroll = by("scroll");
  const top = Math.floor(current / columns) * rowHeight;
  if (top < scroll.scrollTop) scroll.scrollTop = top;
  else if (top + rowHeight > scroll.scrollTop + scroll.clientHeight - 24) {
    scroll.scrollTop = top + rowHeight - scroll.clientHeight + 24;
  }
  draw();
  const cell = cellAt(current);
  if (cell) cell.tabIndex = 0;
  if (by("large").open) showLarge();
  else if (focus) cell?.focus({ preventScroll: true });
}

// A click or a tab key also moves the focus.
function onFocus(event) {
  const at = event.target.closest(".cell")?.dataset.at;
  if (at === undefined || Number(at) === current) return;
  const before = cellAt(current);
  if (before) before.tabIndex = -1;
  current = Number(at);
  event.target.tabIndex = 0;
}

function nextUndecided() {
  for (let step = 1; step <= entries.length; step += 1) {
    const i = (current + step) % entries.length;
    if (!isDecided(entries[i])) return i;
  }
  return -1;
}

function skip() {
  const i = nextUndecided();
  if (i < 0) say("Everything that is listed is decided.");
  else go(i);
}

function judge(decision, wholeFolder) {
  const entry = entries[current];
  if (!entry) return;
  const items = wholeFolder
    ? entries.flatMap((other) => other.members).filter((item) => item.folder === entry.front.folder)
    : entry.members;
  const listed = entries.length;
  decide(items, decision);
  if (wholeFolder) say(`${entry.front.folder || "this folder"}: ${count(items.length, "image")} ${decision || "undecided"}.`);
  else say(`${entry.front.name}${items.length > 1 ? ` and ${items.length - 1} similar` : ""}: ${decision || "undecided"}.`);
  // With "Only undecided", the next image has already taken this one's place.
  if (decision && !wholeFolder && entries.length === listed) go(current + 1);
  else go(current);
}

// Large view.

function showLarge() {
  const entry = entries[current];
  if (!entry) return by("large").close();
  const { front, members } = entry;
  by("large-name").textContent = front.name;
  const image = by("large-image");
  image.hidden = !front.image;
  if (front.image) image.src = front.image;
  by("large-note").textContent = front.note ?? "";
  const facts = by("facts");
  facts.replaceChildren();
  const link = make("a", front.path);
  link.href = front.href;
  link.target = "_blank";
  link.rel = "noreferrer";
  const rows = {
    Decision: stateOf(entry) || "none yet",
    Score: `${front.score} (${statusOf(front)} at ${scan.threshold})`,
    Folder: front.folder || ".",
    Size: `${front.width} × ${front.height} pixels` + (front.bytes === null ? "" : `, ${number.format(Math.ceil(front.bytes / 1000))} kB`),
    Date: front.date === null ? "unknown" : new Date(front.date * 1000).toLocaleString(),
    Scored: front.frames > 1 || front.views
      ? [count(front.frames, "frame"), front.views ? count(front.views, "part") : ""].filter(Boolean).join(" and ") + ", of which the highest score counts"
        + (front.frame === null ? "" : `: that of frame ${number.format(front.frame + 1)} of ${number.format(front.total)}`)
      : "the whole image",
    Original: link,
  };
  for (const [name, value] of Object.entries(rows)) {
    const cell = make("dd");
    cell.append(value);
    facts.append(make("dt", name), cell);
  }
  const strip = by("members");
  strip.replaceChildren();
  for (const item of members.length > 1 ? members.slice(0, 24) : []) {
    const box = make("span");
    box.title = `${item.path} (${item.score})`;
    box.append(pictureOf(item));
    strip.append(box);
  }
  if (!by("large").open) by("large").showModal();
}

// Histogram and threshold.

function drawBars() {
  const svg = by("bars");
  const wide = BINS / 50;
  const bars = Array.from({ length: 50 }, (_, i) => {
    const upper = i === 49 ? BINS + 1 : (i + 1) * wide;
    return scan.histogram.slice(i * wide, upper).reduce((a, b) => a + b, 0);
  });
  const highest = Math.log1p(Math.max(1, ...bars));
  const svgElement = (name, values) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(values)) element.setAttribute(key, value);
    return element;
  };
  svg.replaceChildren(...bars.map((bar, i) => {
    const height = 38 * Math.log1p(bar) / highest;
    return svgElement("rect", { x: 2 * i + 0.2, y: 40 - height, width: 1.6, height });
  }), svgElement("line", { y1: 0, y2: 40 }));
}

/** Say what the operating point nearest to a threshold finds, if the model has any. */
function measured(at) {
  const [nearest] = [...scan.points].sort((a, b) => Math.abs(a[0] - at) - Math.abs(b[0] - at));
  if (!nearest) return "";
  const [point, recall, rate, author] = nearest;
  const percent = (share) => `${number.format(Math.round(1000 * share) / 10)} %`;
  const parts = [];
  if (recall !== null) parts.push(`finds ${percent(recall)} of the indecent images`);
  if (rate !== null) parts.push(`flags ${percent(rate)} of the others by mistake`);
  return ` The nearest measured threshold, ${point}, ${parts.join(" and ")} (${author}).`;
}

function expect() {
  const at = threshold();
  const flagged = (from) => scan.histogram.slice(from).reduce((a, b) => a + b, 0);
  const total = number.format(flagged(0));
  const scanned = number.format(scan.flagged);
  let text = position() === OWN
    ? `At ${at}, the scan flagged ${scanned} of ${total} images.`
    : `At ${at.toFixed(3)}, ${number.format(flagged(position()))} of ${total} images would be flagged. The scan flagged ${scanned} at ${scan.threshold}.`;
  text += measured(at);
  const decided = { safe: [0, 0], indecent: [0, 0] };
  for (const item of images) {
    const counts = decided[decisionOf(item)];
    if (counts) {
      counts[1] += 1;
      if (item.score >= at) counts[0] += 1;
    }
  }
  if (decided.safe[1] + decided.indecent[1]) {
    text += ` Among your decisions it would flag ${decided.indecent[0]} of ${decided.indecent[1]} indecent and ${decided.safe[0]} of ${decided.safe[1]} safe.`;
  }
  by("expected").textContent = text;
  const line = by("bars").querySelector("line");
  line.setAttribute("x1", 100 * at);
  line.setAttribute("x2", 100 * at);
  by("bars").querySelectorAll("rect").forEach((bar, i) => {
    bar.classList.toggle("flagged", (i + 0.5) / 50 >= at);
  });
}

// Folders.

function drawTree() {
  const root = { name: "All folders", path: null, count: images.length, children: new Map() };
  for (const item of images) {
    let node = root, path = "";
    const parts = item.folder === "" ? [] : item.folder.split("/");
    parts.forEach((part, depth) => {
      path = depth === 0 ? (part || "/") : path === "/" ? `/${part}` : `${path}/${part}`;
      if (!node.children.has(part)) {
        node.children.set(part, { name: part || "/", path, count: 0, children: new Map() });
      }
      node = node.children.get(part);
      node.count += 1;
    });
  }
  const list = make("ul");
  list.append(treeItem(root, true));
  by("tree").replaceChildren(list);
}

function treeItem(node, open) {
  const element = make("li"), line = make("span");
  const name = make("button", "", "name");
  name.type = "button";
  name.ariaPressed = node.path === folder;
  name.append(make("bdi", node.name), make("span", number.format(node.count)));
  name.addEventListener("click", () => {
    by("tree").querySelectorAll('[aria-pressed="true"]').forEach((other) => { other.ariaPressed = "false"; });
    name.ariaPressed = "true";
    folder = node.path;
    show?.(true);
    choose();
  });
  let show = null;
  if (node.children.size) {
    const toggle = make("button", "", "open");
    toggle.type = "button";
    toggle.ariaLabel = `Folders in ${node.name}`;
    const set = (wanted) => {
      toggle.textContent = wanted ? "▾" : "▸";
      toggle.ariaExpanded = wanted;
      element.querySelector(":scope > ul")?.remove();
      if (!wanted) return;
      const list = make("ul");
      const children = [...node.children.values()].sort((a, b) => compare(a.name, b.name));
      list.append(...children.map((child) => treeItem(child, node.children.size === 1)));
      element.append(list);
    };
    show = (wanted) => toggle.ariaExpanded === String(wanted) || set(wanted);
    toggle.addEventListener("click", () => set(toggle.ariaExpanded !== "true"));
    line.append(toggle);
    element.append(line);
    set(open);
  } else {
    line.append(make("span", "", "open"));
    element.append(line);
  }
  line.append(name);
  return element;
}

// Errors.

function drawErrors() {
  by("tab-errors").textContent = `Errors ${number.format(errors.length)}`;
  by("no-errors").textContent = errors.length
    ? `${count(errors.length, "file")} could not be scored. Nobody knows whether they are safe; no command acts upon them.`
    : "Every image has a score.";
  const reasons = new Map();
  for (const item of errors) {
    const reason = item.reason ?? "other";
    if (!reasons.has(reason)) reasons.set(reason, []);
    reasons.get(reason).push(item);
  }
  const sorted = [...reasons].sort((a, b) => b[1].length - a[1].length);
  by("reasons").replaceChildren(...sorted.map(([reason, items]) => {
    const details = make("details");
    details.append(make("summary", `${reason}: ${count(items.length, "file")}`));
    details.addEventListener("toggle", () => {
      if (details.querySelector("ul")) return;
      const list = make("ul");
      details.append(list);
      const more = make("button", "Show more");
      more.type = "button";
      const add = () => {
        for (const item of items.slice(list.children.length, list.children.length + 500)) {
          const line = make("li");
          line.append(make("bdi", item.path), ": ", make("span", item.detail ?? ""));
          list.append(line);
        }
        more.hidden = list.children.length === items.length;
      };
      more.addEventListener("click", add);
      details.append(more);
      add();
    });
    details.open = errors.length <= 100;
    return details;
  }));
}

// Events.

function select(tab) {
  for (const name of ["images", "errors"]) {
    const chosen = name === tab;
    by(name).hidden = !chosen;
    by(`tab-${name}`).ariaSelected = chosen;
    by(`tab-${name}`).tabIndex = chosen ? 0 : -1;
  }
  if (tab === "images") measure();
}

const ACTS = {
  previous: () => go(current - 1),
  next: () => go(current + 1),
  safe: () => judge("safe"),
  indecent: () => judge("indecent"),
  skip,
  close: () => by("large").close(),
};

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.matches("input:not([type=checkbox]):not([type=range]), select");
  if (typing || by("keys").open || by("images").hidden) return;
  const inGrid = by("grid").contains(event.target);
  const large = by("large").open;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const moves = {
    ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns,
    PageUp: -columns * 3, PageDown: columns * 3, Home: -entries.length, End: entries.length,
  };
  if (key in moves && (inGrid || (large && key.startsWith("Arrow")))) go(current + (large ? Math.sign(moves[key]) : moves[key]));
  else if (key === "Enter" && inGrid) showLarge();
  else if (key === " " && inGrid) skip();
  else if (key === "s") judge("safe", event.shiftKey);
  else if (key === "i") judge("indecent", event.shiftKey);
  else if (key === "x") judge("");
  else if (key === "n") skip();
  else if (key === "u") undo();
  else if (key === "v") (large ? document.querySelector("#large .frame") : cellAt(current))?.classList.add("reveal");
  else if (key === "/" && !large) by("text").focus();
  else if (key === "?") by("keys").showModal();
  else return;
  event.preventDefault();
}

function start() {
  const narrow = matchMedia("(max-width: 720px)").matches;
  by("panel").open = !narrow;
  by("threshold").value = OWN;
  document.body.classList.add("blur");
  drawBars();
  drawTree();
  drawErrors();
  load();
  progress();
  choose();
  measure();
  document.addEventListener("keydown", onKey);
  document.addEventListener("keyup", (event) => {
    if (event.key.toLowerCase() === "v") {
      document.querySelectorAll(".reveal").forEach((element) => element.classList.remove("reveal"));
    }
  });
  by("scroll").addEventListener("scroll", () => draw(), { passive: true });
  new ResizeObserver(measure).observe(by("scroll"));
  by("grid").addEventListener("focusin", onFocus);
  by("grid").addEventListener("click", (event) => {
    const cell = event.target.closest(".cell");
    if (!cell) return;
    go(Number(cell.dataset.at));
    showLarge();
  });
  by("large").addEventListener("click", (event) => {
    ACTS[event.target.closest("[data-act]")?.dataset.act]?.();
  });
  by("large").addEventListener("close", () => go(current));
  by("undo").addEventListener("click", undo);
  by("help").addEventListener("click", () => by("keys").showModal());
  by("export").addEventListener("click", saveFile);
  for (const id of ["text", "status", "least", "most", "sort", "undecided", "fold", "above"]) {
    by(id).addEventListener("input", choose);
  }
  by("clear").addEventListener("input", (event) => {
    document.body.classList.toggle("blur", !event.target.checked);
  });
  by("threshold").addEventListener("input", () => {
    expect();
    if (by("above").checked) choose();
  });
  for (const name of ["images", "errors"]) {
    by(`tab-${name}`).addEventListener("click", () => select(name));
    by(`tab-${name}`).addEventListener("keydown", (event) => {
      if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
      const other = name === "images" ? "errors" : "images";
      select(other);
      by(`tab-${other}`).focus();
    });
  }
  addEventListener("storage", onStorage);
  addEventListener("pageshow", ({ persisted }) => {  // back from the history, which gets no events
    if (!persisted) return;
    load();
    showOthers();
  });
  if (!images.length && errors.length) select("errors");
}

start();
