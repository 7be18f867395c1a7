// enroll.js helps to add a host: it suggests its attribute, shows what is worth knowing
// after a while, and keeps the address of a token's page from being asked for again.
import { $, all } from "./dom.js";

const opened = Date.now();

// suggest names the attribute that counts when none is given.
function suggest() {
  const attr = $("#attr"), platform = $("[name=platform]:checked");
  if (attr && platform) attr.placeholder = `${platform.value}Configurations.${$("#name").value.trim() || "NAME"}`;
}

// due shows what waits for a time: so many seconds of this page, or a moment.
function due() {
  for (const hint of all("[data-later]")) hint.classList.toggle("due", Date.now() - opened >= hint.dataset.later * 1e3);
  for (const hint of all("[data-before]")) hint.hidden = Date.now() >= Date.parse(hint.dataset.before);
  for (const hint of all("[data-after]")) hint.classList.toggle("due", Date.now() >= Date.parse(hint.dataset.after));
}

const form = $("form.enrol");
if (form) {
  form.addEventListener("input", suggest);
  suggest();
}

// A token is shown once. To reload its page waits for the host, and makes no other.
const once = $("[data-once]");
if (once) history.replaceState(null, "", once.dataset.once);

if ($("#newcomer")) {
  due();
  setInterval(due, 1e3);
  document.addEventListener("settled", due);
}
