// settings.js follows the form of the settings: it tells what they would bring while
// they are typed, asks before they are saved, and keeps them from being lost.
import { $, all } from "./dom.js";
import { tick } from "./time.js";
import { lock } from "./ask.js";

const form = $("form[data-settings]");
const rest = 300; // ms without a key before the server is asked
let dirty = !!form && "dirty" in form.dataset, soon, asked;

const post = (form, value) => {
  const body = new URLSearchParams(new FormData(form));
  body.set("do", value);
  return fetch(form.action, { method: "POST", body, headers: { "HX-Request": "true" }, redirect: "manual" }).catch(() => undefined);
};

// look shows what the form would bring, each part in its place.
async function look() {
  const mine = asked = Symbol();
  const answer = await post(form, "preview");
  if (mine !== asked || !answer?.ok) return;
  const parts = document.createElement("template");
  parts.innerHTML = await answer.text();
  for (const part of all("[id]", parts.content)) document.getElementById(part.id)?.replaceChildren(...part.childNodes);
  tick();
}

// review asks before saving. Where there is nothing to ask, or something is wrong, the
// page itself comes back and says so.
async function review(button) {
  button.dataset.sent = "";
  const answer = await post(form, "review");
  delete button.dataset.sent;
  const text = answer?.ok ? await answer.text() : "";
  const dialog = $("#ask");
  if (!text.includes('id="ask-title"')) {
    dirty = false;
    form.removeEventListener("submit", submit);
    form.requestSubmit(button);
    return;
  }
  dialog.innerHTML = text;
  tick();
  lock();
  dialog.showModal();
  $("footer [type=submit]", dialog)?.focus();
}

function submit(e) {
  if (e.submitter && "review" in e.submitter.dataset) {
    e.preventDefault();
    if (!("sent" in e.submitter.dataset)) review(e.submitter);
    return;
  }
  dirty = false; // the server brings it back
}

if (form) {
  form.addEventListener("input", () => {
    dirty = true;
    clearTimeout(soon);
    if ($("#preview")) soon = setTimeout(look, rest);
  });
  form.addEventListener("submit", submit);
  $("#ask").addEventListener("submit", () => { dirty = false; });
  addEventListener("beforeunload", (e) => { if (dirty) e.preventDefault(); });
}
