// live.js keeps an open page equal to the server's, and says so when it is not.
import { $ } from "./dom.js";
import { adjust, span, tick } from "./time.js";
import { lock, reading } from "./ask.js";

const body = document.body;
const silence = 25e3; // ms: two beats and a half
const hiddenFor = 10e3; // ms until a page that nobody sees gives up its connection
const breath = 250; // ms: a page that is being left breaks its stream as well, and is gone then
const reloadEvery = 30e3; // ms: while two builds answer in turn, a page does not reload without end
const atOnce = 12; // ms that a patch works before it lets others have their turn
let source, heard, failed = 0, retry, hiding, queue = Promise.resolve();

function open() {
  close();
  const address = new URL(body.dataset.live, location.href);
  if (body.dataset.shows) address.searchParams.set("shows", body.dataset.shows); // what is shown already need not come again
  source = new EventSource(address);
  on("hello", (build) => build === body.dataset.build ? undefined : outdated());
  on("patch", (html, version) => {
    body.dataset.shows = version;
    queue = queue.then(() => swap(html))
      .then(settle).catch(() => { body.dataset.shows = ""; reopen(1e3); }); // a snapshot repairs what a failed patch left
  });
  on("beat", (ms) => adjust(Number(ms)));
  on("gone", () => location.reload());
  const from = source;
  source.onerror = () => setTimeout(() => { if (from === source) lost(); }, breath);
}

// swap carries a patch out. It gives the page a chance to answer in between, so that
// many parts at once are not felt.
async function swap(html) {
  let began = performance.now();
  for (const part of html.split("</hx-partial>")) {
    if (!part.trim()) continue;
    await htmx.swap({ text: `${part}</hx-partial>`, target: body, sourceElement: body, swap: "none" });
    if (performance.now() - began < atOnce) continue;
    await (globalThis.scheduler?.yield?.() ?? new Promise((go) => setTimeout(go)));
    began = performance.now();
  }
}

// turn lets the page show another address of its own kind: its stream begins with all
// that differs.
export function turn(address) {
  body.dataset.live = address;
  body.dataset.shows = "";
  if (source || retry) open();
}

function on(event, act) {
  const from = source;
  from.addEventListener(event, (message) => {
    if (from !== source) return;
    heard = Date.now();
    failed = 0;
    act(message.data, message.lastEventId);
    if (source === from && event !== "hello") show("live");
  });
}

function close() {
  clearTimeout(retry);
  source?.close();
  source = undefined;
}

function reopen(after) {
  close();
  retry = setTimeout(open, after * (0.75 + Math.random() / 2)); // not all pages at once
}

// lost: the stream broke. When the server answers but no longer knows us, the
// reload ends at the sign-in page.
async function lost() {
  show("stale");
  reopen(Math.min(1e3 * 2 ** failed++, 15e3));
  const answer = await fetch(location.href, { method: "HEAD", redirect: "manual" }).catch(() => undefined);
  if (answer?.type === "opaqueredirect" || answer?.status === 404) location.reload();
}

// outdated: the server is another build. The page loads itself anew, unless somebody
// reads a question or writes something; then it says so and waits for them.
function outdated() {
  close();
  show("stale");
  const last = Number(sessionStorage.getItem("reloaded"));
  if (!reading() && Date.now() - last > reloadEvery) {
    sessionStorage.setItem("reloaded", Date.now());
    location.reload();
    return;
  }
  $("#skew").hidden = false;
}

document.addEventListener("visibilitychange", () => {
  if (!("live" in body.dataset)) return;
  clearTimeout(hiding);
  if (document.hidden) hiding = setTimeout(() => { close(); show("stale"); }, hiddenFor);
  else if (!source && $("#skew").hidden) open();
});
addEventListener("pagehide", close);
addEventListener("pageshow", (e) => { if (e.persisted) location.reload(); }); // a page of the browser's cache may be of another build

// show says how the page stands: live, connecting or stale.
function show(state) {
  $("#live").dataset.state = state;
  body.classList.toggle("stale", state === "stale");
  say();
  lock();
}

function say() {
  const live = $("#live"), state = live.dataset.state, age = heard && span(Date.now() - heard);
  const words = { live: ["ok", "Live"], connecting: ["clock", "Connecting…"], stale: ["error", heard ? `Stale, last update ${age} ago` : "Not connected"] };
  const [icon, text] = words[state];
  $("use", live).setAttribute("href", `#i-${icon}`);
  if ($(".words", live).textContent !== text) $(".words", live).textContent = text;
  const broken = $("#broken");
  broken.hidden = state !== "stale" || !heard || !$("#skew").hidden;
  if (!broken.hidden) $(".age", broken).textContent = age;
}

function settle() {
  tick();
  lock();
  document.dispatchEvent(new Event("settled")); // other scripts mend what they had changed
}

if ("live" in body.dataset) {
  open();
  setInterval(() => {
    say();
    if (source && heard && Date.now() - heard > silence && $("#live").dataset.state === "live") lost();
  }, 1e3);
}
