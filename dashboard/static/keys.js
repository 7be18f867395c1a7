// keys.js is what the keyboard does beside Tab. The list of keys that people see is the
// server's; keys rest while somebody types or has a question open.
import { $, all } from "./dom.js";
import { toggle } from "./select.js";
import { openMenu } from "./menu.js";

const pages = { f: "/", u: "/updates", r: "/rollouts", a: "/activity", s: "/settings" };
const patience = 1500; // ms between the two keys of one wish
const help = $("#keys");
let going = 0;

const typing = (e) => e.target.closest?.("input:not([type=checkbox]), textarea, select, [contenteditable]");
const row = () => document.activeElement?.closest?.("tr, li, article");

// step moves to the next row that is shown, or the one before.
function step(by) {
  const links = all("a[data-row]");
  const at = links.findIndex((link) => row()?.contains(link));
  const to = links[at < 0 ? (by > 0 ? 0 : links.length - 1) : Math.min(links.length - 1, Math.max(0, at + by))];
  to?.focus();
  to?.scrollIntoView({ block: "nearest" });
}

const acts = {
  "/": () => { const q = $("#q"); q?.focus(); q?.select(); return !!q; },
  "j": () => step(1),
  "k": () => step(-1),
  "x": () => row() && toggle(row(), false),
  "X": () => row() && toggle(row(), true),
  "m": () => openMenu(row() && $("[data-menu]", row())),
  "?": () => help.showModal(),
  "g": () => { going = Date.now(); },
};

if (help) {
  $("#keys-help").addEventListener("click", () => help.showModal());
  document.addEventListener("keydown", (e) => {
    if (e.key === "Escape" && e.target.id === "q") { e.preventDefault(); e.target.blur(); } // what was searched for stays
    if (e.ctrlKey || e.metaKey || e.altKey || e.isComposing || typing(e) || $("dialog[open], [role=menu]:popover-open")) return;
    const page = Date.now() - going < patience && pages[e.key];
    going = 0;
    if (page) {
      location.assign(page);
    } else if (Object.hasOwn(acts, e.key)) {
      if (acts[e.key]() === false) return;
    } else {
      return;
    }
    e.preventDefault();
  });
}
