// menu.js opens the one menu of orders for the row whose button was pressed. Without
// script the button leads to a page with the same choices.
import { $, all } from "./dom.js";

const menu = $("#row-menu");
const items = () => all("[role=menuitem]", menu);
let opener;

export function openMenu(button) {
  if (!menu || !button || document.body.classList.contains("stale")) return;
  for (const item of items()) {
    item.href = `/orders/new?${new URLSearchParams({ kind: item.dataset.kind, hosts: button.dataset.menu })}`;
  }
  menu.setAttribute("aria-label", button.getAttribute("aria-label"));
  opener = button;
  menu.showPopover({ source: button });
  items()[0].focus();
}

function move(to) {
  const list = items(), at = list.indexOf(document.activeElement);
  list[(to === "first" ? 0 : to === "last" ? list.length - 1 : at + to + list.length) % list.length].focus();
}

if (menu) {
  document.addEventListener("click", (e) => {
    const button = e.target.closest?.("[data-menu]");
    if (!button || e.metaKey || e.ctrlKey || e.shiftKey || e.button) {
      if (e.target.closest?.("#row-menu")) menu.hidePopover();
      return;
    }
    e.preventDefault();
    if (menu.matches(":popover-open") && opener === button) menu.hidePopover();
    else openMenu(button);
  });
  document.addEventListener("keydown", (e) => { if (e.key === " " && e.target.matches?.("[data-menu]")) { e.preventDefault(); openMenu(e.target); } });
  menu.addEventListener("keydown", (e) => {
    const to = { ArrowDown: 1, ArrowUp: -1, Home: "first", End: "last" }[e.key];
    if (e.key === "Tab") menu.hidePopover();
    if (!to) return;
    e.preventDefault();
    move(to);
  });
  menu.addEventListener("toggle", (e) => {
    opener?.setAttribute("aria-expanded", String(e.newState === "open"));
    if (e.newState === "closed" && menu.contains(document.activeElement)) opener?.focus();
  });
}
