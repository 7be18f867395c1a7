// live.js keeps an open page equal to the server's, counts times, and opens what
// opens. Everything on the page is rendered by the server; without this script
// it is a page that has to be reloaded.
"use strict";
(() => {
  const $ = (query, root = document) => root.querySelector(query);
  const all = (query, root = document) => [...root.querySelectorAll(query)];
  const body = document.body;

  // --- the stream -------------------------------------------------------------

  const silence = 25e3; // ms: two beats and a half
  const hiddenFor = 10e3; // ms until a page that nobody sees gives up its connection
  let source, heard, failed = 0, retry, hiding, queue = Promise.resolve();
  let skew = Number(body.dataset.now) - Date.now(); // server's clock minus ours

  function open() {
    close();
    source = new EventSource("/events");
    on("hello", (build) => build === body.dataset.build ? undefined : outdated());
    on("patch", (html) => {
      queue = queue.then(() => htmx.swap({ text: html, target: body, sourceElement: body, swap: "none" }))
        .then(settle).catch(() => reopen(1e3)); // a snapshot repairs what a failed patch left
    });
    on("beat", (ms) => { skew = Number(ms) - Date.now(); });
    on("gone", () => location.reload());
    source.onerror = lost;
  }

  function on(event, act) {
    const from = source;
    from.addEventListener(event, (message) => {
      if (from !== source) return;
      heard = Date.now();
      failed = 0;
      act(message.data);
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
    const answer = await fetch("/", { method: "HEAD", redirect: "manual" }).catch(() => undefined);
    if (answer?.type === "opaqueredirect") location.reload();
  }

  function outdated() {
    close();
    show("stale");
    $("#skew").hidden = false;
  }

  document.addEventListener("visibilitychange", () => {
    if (!("live" in body.dataset)) return;
    clearTimeout(hiding);
    if (document.hidden) hiding = setTimeout(() => { close(); show("stale"); }, hiddenFor);
    else if (!source && $("#skew").hidden) open();
  });
  addEventListener("pagehide", close);

  // --- the indicator ----------------------------------------------------------

  function show(state) {
    const live = $("#live");
    live.dataset.state = state;
    body.classList.toggle("stale", state === "stale");
    say(live);
    lock();
  }

  function say(live) {
    const words = { live: ["ok", "Live"], connecting: ["clock", "Connecting…"], stale: ["error", heard ? `Stale, last update ${span(Date.now() - heard)} ago` : "Not connected"] };
    const [icon, text] = words[live.dataset.state];
    $("use", live).setAttribute("href", `#i-${icon}`);
    if ($(".words", live).textContent !== text) $(".words", live).textContent = text;
  }

  // lock: nobody acts on a page that may be wrong, or on an update that is no
  // longer what its dialog says.
  function lock() {
    const stale = body.classList.contains("stale");
    for (const dialog of all("dialog[open][data-card]")) {
      const card = document.getElementById(dialog.dataset.card);
      const differs = (name) => name in dialog.dataset && dialog.dataset[name] !== card.dataset[name];
      dialog.classList.toggle("moved", !card || differs("head") || differs("held") || !card.dataset.offers.split(" ").includes(dialog.dataset.offer));
    }
    for (const button of all("[data-act]")) {
      button.disabled = stale || "sent" in button.dataset || !!button.closest("dialog.moved");
      button.title = stale ? "This page is not up to date" : "";
    }
  }

  // --- times ------------------------------------------------------------------

  function span(ms) {
    const s = Math.max(0, Math.round(ms / 1e3)), m = Math.floor(s / 60), h = Math.floor(m / 60);
    if (s < 60) return `${s} s`;
    if (m < 60) return m < 10 && s % 60 ? `${m} m ${s % 60} s` : `${m} m`;
    if (h < 48) return m % 60 && h < 10 ? `${h} h ${m % 60} m` : `${h} h`;
    return `${Math.floor(h / 24)} d`;
  }

  function tick() {
    const now = Date.now() + skew;
    for (const time of all("time[data-when]")) {
      const at = Date.parse(time.dateTime);
      const text = { ago: `${span(now - at)} ago`, since: span(now - at), until: at > now ? `in ${span(at - now)}` : "now" }[time.dataset.when];
      if (time.textContent !== text) time.textContent = text;
    }
    if ($("#live")) {
      say($("#live"));
      if (source && heard && Date.now() - heard > silence && $("#live").dataset.state === "live") lost();
    }
  }

  function settle() {
    tick();
    lock();
  }

  // --- what opens -------------------------------------------------------------

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

  // Browsers without invoker commands get the same from here.
  if (!("commandForElement" in HTMLButtonElement.prototype)) {
    document.addEventListener("click", (e) => {
      const b = e.target.closest?.("[data-opens],[data-closes]");
      const dialog = b && document.getElementById(b.getAttribute("commandfor"));
      if (dialog) "opens" in b.dataset ? dialog.showModal() : dialog.close();
    });
  }

  // --- posts ------------------------------------------------------------------

  // A success stays on show for a while, since what follows shows on the page
  // itself; a problem stays until the next press. The form that asked may be gone
  // by the time of the answer, so this watches the place of the answer.
  const praise = 8e3; // ms
  const toast = $("#toast");
  let fading;
  if (toast) {
    new MutationObserver(() => {
      clearTimeout(fading);
      if (!toast.firstElementChild) return;
      toast.scrollIntoView({ block: "nearest" });
      if ($(".t-ok", toast)) fading = setTimeout(() => toast.replaceChildren(), praise);
    }).observe(toast, { childList: true });
  }

  document.addEventListener("submit", (e) => {
    const button = e.target.querySelector("[data-act]");
    if (!button) return;
    if (button.disabled || "sent" in button.dataset) { e.preventDefault(); e.stopImmediatePropagation(); return; }
    button.dataset.sent = ""; // once; a second press of a slow button is not a second wish
    queueMicrotask(lock);
  }, true);

  document.addEventListener("htmx:finally:request", (e) => {
    const form = e.target.closest?.("form");
    const button = form && $("[data-act]", form);
    if (!button) return;
    delete button.dataset.sent;
    form.closest("dialog")?.close();
    lock();
  });
  document.addEventListener("htmx:error", () => {
    const p = document.createElement("p");
    p.className = "toast t-error";
    p.textContent = "The server did not answer, so it is not known whether this was recorded. This page shows what is.";
    toast?.replaceChildren(p);
  });

  // --- appearance -------------------------------------------------------------

  $("#theme")?.addEventListener("click", () => {
    const dark = getComputedStyle(document.documentElement).colorScheme === "dark" || (getComputedStyle(document.documentElement).colorScheme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
    const theme = dark ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    document.cookie = `theme=${theme}; Path=/; Max-Age=31536000; SameSite=Lax`;
  });

  body.classList.add("script");
  tick();
  setInterval(tick, 1e3);
  if ("live" in body.dataset) open();
})();
