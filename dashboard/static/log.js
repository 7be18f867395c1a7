// log.js shows what an order prints: line by line, followed until somebody scrolls up.
// What programs print is text and nothing else.
import { $, all } from "./dom.js";

const most = 2000; // lines that stand on the page at once
const place = $("#log"), frame = $("#log-lines"), state = $("#log-state"), follow = $("#log-follow");
const lines = []; // all that came: {text, step}; the last one goes on, and may be empty
let first = 0, shown = 0; // the page has the lines [first, shown)
let following = true, scheduled = false;
let ours = -1; // where we scrolled to: every other place is the reader's doing
let source, next = 0, failed = 0, retry, hiding, over = false;
let found = [], at = -1, marked = lineOf(location.hash);

const number = new Intl.NumberFormat("en");
const stepNames = { received: "Taken up", fetching: "Fetching", building: "Building", switching: "Switching", verifying: "Verifying" };

// lineOf is the line that an address names, counted from 0; -1 for none.
function lineOf(hash) {
  const m = /^#L(\d{1,9})$/.exec(hash);
  return m ? Number(m[1]) - 1 : -1;
}

function connect() {
  close();
  source = new EventSource(`${place.dataset.log}?from=${next}`);
  const from = source;
  const on = (event, act) => from.addEventListener(event, (message) => { if (from === source) { failed = 0; act(message.data); } });
  on("hello", () => say());
  on("beat", () => say());
  on("piece", (data) => { const piece = JSON.parse(data); next = piece.next; take(piece); });
  on("end", (whole) => { over = true; close(); say(whole === "false" ? "The host has not sent the rest." : ""); });
  on("gone", () => location.reload());
  from.onerror = () => {
    if (from !== source) return;
    close();
    state.textContent = "The log’s connection broke; it comes back by itself.";
    retry = setTimeout(connect, Math.min(1e3 * 2 ** failed++, 15e3) * (0.75 + Math.random() / 2));
  };
}

function close() {
  clearTimeout(retry);
  source?.close();
  source = undefined;
}

// take adds a piece of output, which may begin and end within a line.
function take({ step, text }) {
  const parts = text.split("\n");
  const last = lines[lines.length - 1];
  if (last?.step === step) {
    last.text += parts.shift();
    if (shown === lines.length && shown > first) again(lines.length - 1);
  } else if (last?.text === "") { // the newline before it began a line that nothing stands in
    lines.pop();
  }
  for (const part of parts) lines.push({ text: part, step });
  schedule();
}

// count is how many lines there are to show: the last one only once it has begun.
const count = () => lines.length - (lines.length && lines[lines.length - 1].text === "" ? 1 : 0);

function schedule() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => { scheduled = false; draw(); });
}

// draw brings the page up to what came, with one change and one scroll per frame.
function draw() {
  if (marked >= 0 && marked < count()) {
    const line = marked;
    marked = -1;
    show(line);
  } else if (following) {
    if (count() - shown > most) { clear(Math.max(0, count() - most)); }
    append(count());
    while (shown - first > most) drop();
    toEnd();
  }
  if (query()) search(false);
  say();
}

// clear empties the page, so that it goes on at a line.
function clear(line) {
  frame.replaceChildren();
  first = shown = line;
}

function append(until) {
  if (shown >= until) return;
  const part = document.createDocumentFragment();
  for (; shown < until; shown++) {
    const { step } = lines[shown];
    if (shown === first || lines[shown - 1].step !== step) {
      const h = document.createElement("h3");
      h.textContent = stepNames[step] ?? (step || "Output");
      part.append(h);
    }
    part.append(element(shown));
  }
  frame.append(part);
}

// element is one line: its number, which is its address, and its text.
function element(i) {
  const line = document.createElement("div"), link = document.createElement("a"), text = document.createElement("span");
  line.className = "ln";
  line.id = `L${i + 1}`;
  link.href = `#L${i + 1}`;
  link.textContent = i + 1;
  link.tabIndex = -1;
  link.ariaLabel = `Line ${i + 1}`;
  text.textContent = lines[i].text;
  line.append(link, text);
  return line;
}

// again writes a line that has grown.
function again(i) {
  const text = document.getElementById(`L${i + 1}`)?.lastElementChild;
  if (text) text.textContent = lines[i].text;
}

// drop takes the oldest line off the page; its step's heading stays while there are
// lines of it.
function drop() {
  const heading = frame.firstElementChild;
  heading.nextElementSibling.remove();
  first++;
  if (heading.nextElementSibling?.tagName === "H3") heading.remove();
}

function toEnd() { scrollTo(frame.scrollHeight); }

function scrollTo(top) {
  frame.scrollTop = top;
  ours = frame.scrollTop;
}

const atEnd = () => frame.scrollHeight - frame.scrollTop - frame.clientHeight < 24;

// show brings a line onto the page, in the middle of those around it.
function show(i) {
  pause();
  if (i < first || i >= shown) {
    clear(Math.max(0, i - most / 2));
    append(Math.min(count(), first + most));
  }
  for (const old of all(".at", frame)) old.classList.remove("at");
  const line = document.getElementById(`L${i + 1}`);
  line.classList.add("at");
  scrollTo(line.offsetTop - frame.clientHeight / 2);
}

function pause() {
  following = false;
  say();
}

function resume() {
  following = true;
  if (shown < count() - most) clear(count() - most);
  schedule();
}

frame?.addEventListener("scroll", () => {
  if (frame.scrollTop === ours) return;
  ours = -1;
  if (following && !atEnd()) pause();
  else if (!following && atEnd() && shown === count()) resume();
});
follow?.addEventListener("click", resume);

$("#log-wrap")?.addEventListener("click", (e) => {
  const on = frame.classList.toggle("wrap-lines");
  e.currentTarget.ariaPressed = String(on);
  if (following) toEnd();
});

// say tells how far it is, and what was not shown.
function say(more) {
  const n = count();
  const parts = [n === 0 ? (over ? "It printed nothing." : "Nothing printed yet.") : `${number.format(n)} ${n === 1 ? "line" : "lines"}`];
  if (n > 0) parts.push(over ? "ended" : "live");
  if (shown - first < n && following) parts.push(`the last ${number.format(shown - first)} are shown; Download has all`);
  if (more) parts.push(more);
  const text = parts.join(" · ");
  if (state.textContent !== text) state.textContent = text;
  follow.hidden = following;
  if (!following) {
    const left = n - shown;
    $(".words", follow).textContent = over ? "To the end" : left > 0 ? `Follow (paused, ${number.format(left)} more)` : "Follow (paused)";
  }
}

// Search goes through all that came, also what does not stand on the page.
const query = () => $("#log-find").value.toLowerCase();

function search(jump) {
  const q = query();
  found = q ? lines.flatMap((line, i) => (line.text.toLowerCase().includes(q) ? [i] : [])) : [];
  if (jump) at = found.length ? found.findIndex((i) => i >= first) : -1;
  if (jump && at < 0 && found.length) at = 0;
  for (const b of [$("#log-before"), $("#log-after")]) b.hidden = found.length === 0;
  if (jump && found.length) show(found[at]);
  mark();
}

function mark() {
  const q = query(), hits = new Set(found);
  for (const line of all(".ln", frame)) line.classList.toggle("hit", q !== "" && hits.has(Number(line.id.slice(1)) - 1));
  $("#log-found").textContent = !q ? "" : found.length === 0 ? "no match" : `${at + 1 || "–"} of ${number.format(found.length)}`;
}

function step(by) {
  if (found.length === 0) return;
  at = (at + by + found.length) % found.length;
  show(found[at]);
  mark();
}

if (place) {
  let typing;
  new ResizeObserver(() => { if (following) toEnd(); }).observe(frame);
  $("#log-find").addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(() => search(true), 150); });
  $("#log-find").addEventListener("keydown", (e) => {
    if (e.key === "Enter") { e.preventDefault(); step(e.shiftKey ? -1 : 1); }
    if (e.key === "Escape" && query()) { e.preventDefault(); e.currentTarget.value = ""; search(false); }
  });
  $("#log-before").addEventListener("click", () => step(-1));
  $("#log-after").addEventListener("click", () => step(1));
  addEventListener("hashchange", () => { const i = lineOf(location.hash); if (i >= 0 && i < count()) show(i); });
  // A browser has few connections to one server; a page that nobody sees gives its own up.
  document.addEventListener("visibilitychange", () => {
    clearTimeout(hiding);
    if (over) return;
    if (document.hidden) hiding = setTimeout(close, 10e3);
    else if (!source) connect();
  });
  addEventListener("pagehide", close);
  connect();
}
