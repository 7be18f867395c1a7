// ask.js opens questions over the page and sends what people answer.
import { $, all } from "./dom.js";
import { tick } from "./time.js";

const dialog = $("#ask");
const toast = $("#toast");
const praise = 8e3; // ms: a success stays on show that long, since what follows shows on the page itself
let fading, asked;

// reading reports whether somebody has a question open, or has begun to write.
export function reading() {
  return !!$("dialog[open]") || all("input:not([type=hidden], [type=checkbox]), textarea").some((field) => field.value !== field.defaultValue);
}

// lock keeps people from acting on a page that may be wrong, or on something that is
// no longer what its question says.
export function lock() {
  const stale = document.body.classList.contains("stale");
  for (const form of all("form[data-about]")) {
    const about = form.dataset.about && document.getElementById(form.dataset.about);
    const moved = form.dataset.about && document.body.hasAttribute("data-live") && about?.dataset.state !== form.dataset.was;
    form.closest(".plan").classList.toggle("moved", !!moved);
  }
  for (const button of all("[data-act]")) {
    button.disabled = stale || "sent" in button.dataset || !!button.closest(".moved");
    button.title = stale ? "This page is not up to date" : "";
  }
  for (const link of all("a[data-ask]")) link.ariaDisabled = stale ? "true" : null;
}

// ask opens the question at an address. A body is what an address would be too short for.
async function ask(address, body) {
  const mine = asked = Symbol();
  const answer = await fetch(address, { method: body ? "POST" : "GET", body, headers: { "HX-Request": "true" }, redirect: "manual" }).catch(() => undefined);
  if (mine !== asked) return; // another question was asked meanwhile
  if (answer?.type === "opaqueredirect") return location.reload(); // signed out
  if (!answer?.ok) return tell(answer ? await answer.text() : "", "The server did not answer, so nothing was done.", dialog.open ? $(".answer", dialog) : toast);
  dialog.innerHTML = await answer.text();
  tick();
  lock();
  if (!dialog.open) dialog.showModal();
  $("[autofocus], footer [type=submit]", dialog)?.focus();
}

// send posts a form once and says what came of it.
async function send(form, button) {
  button.dataset.sent = ""; // a second press of a slow button is not a second wish
  const body = new URLSearchParams(new FormData(form, button));
  queueMicrotask(lock);
  const answer = await fetch(form.action, { method: "POST", body, headers: { "HX-Request": "true" }, redirect: "manual" }).catch(() => undefined);
  delete button.dataset.sent;
  lock();
  const next = answer?.headers.get("X-Next");
  if (answer?.ok && next) return location.assign(next);
  const text = answer ? await answer.text() : "";
  if (!answer?.ok && form.closest("dialog")) {
    tell(text, "The server did not answer, so it is not known whether this was recorded. The page shows what is.", $(".answer", form));
    return;
  }
  form.closest("dialog")?.close();
  tell(text, "The server did not answer, so it is not known whether this was recorded. This page shows what is.");
}

// tell shows a line of the server, or what is to be said without one.
function tell(html, otherwise, place = toast) {
  place.innerHTML = html;
  if (html) return;
  const line = document.createElement("p");
  line.className = "toast t-error";
  line.textContent = otherwise;
  place.replaceChildren(line);
}

if (toast) {
  new MutationObserver(() => {
    clearTimeout(fading);
    if (!toast.firstElementChild) return;
    toast.scrollIntoView({ block: "nearest" });
    if ($(".t-ok", toast)) fading = setTimeout(() => toast.replaceChildren(), praise);
  }).observe(toast, { childList: true });
}

document.addEventListener("click", (e) => {
  const link = e.target.closest?.("a[data-ask], [data-close]");
  if (!link || e.metaKey || e.ctrlKey || e.shiftKey || e.button) return;
  if ("close" in link.dataset) {
    const open = link.closest("dialog");
    if (!open) return; // without a dialog it is a way back
    e.preventDefault();
    open.close();
    return;
  }
  e.preventDefault();
  if (!document.body.classList.contains("stale")) ask(link.href);
});

document.addEventListener("submit", (e) => {
  const form = e.target, button = e.submitter ?? $("[data-act]", form);
  if (button && (button.disabled || "sent" in button.dataset)) { e.preventDefault(); e.stopImmediatePropagation(); return; }
  if ("ask" in form.dataset) {
    e.preventDefault();
    const address = new URL(form.action), fields = new FormData(form, e.submitter);
    if (form.method === "post") return ask(address, new URLSearchParams(fields));
    for (const [name, value] of fields) address.searchParams.append(name, value);
    ask(address);
  } else if ("post" in form.dataset) {
    e.preventDefault();
    send(form, button);
  } else if (button && "act" in button.dataset) {
    button.dataset.sent = "";
    queueMicrotask(lock);
  }
}, true);
