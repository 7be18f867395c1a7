// tips.js opens what explains.
// Tooltips are popovers: a press opens them without script. Here they also open
// for a pointer that rests on them, and for the keyboard.
let pinned, soon;
const tipOf = (button) => document.getElementById(button.getAttribute("popovertarget"));
const cellOf = (event) => event.target.closest?.("[data-tip]");

function peek(button, delay) {
  clearTimeout(soon);
  soon = setTimeout(() => {
    const tip = tipOf(button);
    if (!tip || tip.matches(":popover-open") || !button.isConnected) return;
    tip.showPopover({ source: button });
  }, delay);
}

function unpeek(button) {
  clearTimeout(soon);
  const tip = tipOf(button);
  if (tip && pinned !== tip && tip.matches(":popover-open")) tip.hidePopover();
}

document.addEventListener("pointerover", (e) => { const b = cellOf(e); if (b && e.pointerType === "mouse") peek(b, 120); });
document.addEventListener("pointerout", (e) => { const b = cellOf(e); if (b && e.pointerType === "mouse" && !b.contains(e.relatedTarget)) unpeek(b); });
document.addEventListener("focusin", (e) => { const b = cellOf(e); if (b && b.matches(":focus-visible")) peek(b, 0); });
document.addEventListener("focusout", (e) => { const b = cellOf(e); if (b) { pinned = undefined; unpeek(b); } });
document.addEventListener("click", (e) => {
  const b = cellOf(e);
  if (!b || !tipOf(b)?.matches(":popover-open")) return;
  if (pinned === tipOf(b)) { pinned = undefined; return; }
  pinned = tipOf(b); // it is open because the pointer is here: a press keeps it
  e.preventDefault();
}, true);
