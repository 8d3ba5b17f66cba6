// SPDX-License-Identifier: AGPL-3.0-or-later
// Additions to links and forms: keys, copying, relative times, the mark of the live connection.
// Every page can be read and used without this script.

const root = document.documentElement;
root.classList.add("scripted");

// -- relative times: updated in place, so that an open page remains correct -------------------------------------------------
const THIN = "\u202f";
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

function age(at, now) {
  const away = Math.abs(now - at) / 1000;
  if (away >= 86400) {
    const day = `${String(at.getUTCDate()).padStart(2, "0")} ${MONTHS[at.getUTCMonth()]}`;
    const clock = `${String(at.getUTCHours()).padStart(2, "0")}:${String(at.getUTCMinutes()).padStart(2, "0")}`;
    return at.getUTCFullYear() === now.getUTCFullYear() ? `${day} ${clock}` : `${day} ${at.getUTCFullYear()}`;
  }
  if (away < 1) return "now";
  const [size, unit] = away >= 3600 ? [3600, "h"] : away >= 60 ? [60, "m"] : [1, "s"];
  const span = `${Math.floor(away / size)}${THIN}${unit}`;
  return at <= now ? `${span} ago` : `in ${span}`;
}

function updateAges() {
  if (document.hidden) return;
  const now = new Date();
  for (const time of document.querySelectorAll("[data-ago]")) {
    const text = age(new Date(time.dataset.ago || time.dateTime), now);
    if (time.textContent !== text) time.textContent = text;
  }
}
setInterval(updateAges, 1000);
document.addEventListener("visibilitychange", updateAges);

// -- the viewer's zone, so that pages can show times in it -----------------------------------------------------------
const zone = encodeURIComponent(Intl.DateTimeFormat().resolvedOptions().timeZone || "");
if (zone && !document.cookie.split("; ").includes(`z4j_zone=${zone}`)) document.cookie = `z4j_zone=${zone}; path=/; max-age=31536000; samesite=lax`;

// -- live: whether the stream of updates is open; the dot of a running task moves only then ----------------------------------
const air = document.querySelector("[data-air]");
let updatedAt = 0;

function onAir(isOpen) {
  root.classList.toggle("live", isOpen && !document.hidden);
  if (!air) return;
  air.hidden = false;
  air.title = isOpen ? "Connected: this page is updated live" : "No connection to the server: this page may be out of date";
  air.querySelector("span").textContent = isOpen ? "live" : `stale since ${updatedAt ? new Date(updatedAt).toLocaleTimeString() : "now"}`;
  air.firstElementChild.className = isOpen ? "dot s-running" : "dot s-late";
}

document.addEventListener("htmx:sse:after:connection", () => { updatedAt = Date.now(); onAir(true); });
document.addEventListener("htmx:sse:before:message", () => { updatedAt = Date.now(); onAir(true); });
document.addEventListener("htmx:sse:error", () => onAir(false));
document.addEventListener("htmx:sse:close", () => onAir(false));
addEventListener("offline", () => onAir(false));

// -- copying ----------------------------------------------------------------------------------------------------------
document.addEventListener("click", async (event) => {
  const shut = event.target.closest("[data-shut]");
  if (shut) shut.closest("details").open = false;
  const button = event.target.closest("[data-copy]");
  if (button) {
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      button.dataset.done = "";
      setTimeout(() => delete button.dataset.done, 1200);
    } catch {
      button.title = "The browser did not allow copying. Select the text instead.";
    }
  }
  for (const open of document.querySelectorAll("details.menu[open]")) if (!open.contains(event.target)) open.open = false;
  for (const open of document.querySelectorAll("details.drawer[open]")) {
    const isOutside = !open.contains(event.target);
    if (isOutside) open.open = false;
  }
});

// A seal key is added to a new connection string here. It is not sent anywhere.
document.addEventListener("input", (event) => {
  const field = event.target.closest("[data-seal-from]");
  if (!field) return;
  const key = /\/\/[^@/]*?\.([\w-]{43})@/.exec(field.value)?.[1];
  for (const shown of document.querySelectorAll("[data-with-url]")) {
    shown.dataset.plain ??= shown.textContent;
    shown.textContent = key ? shown.dataset.plain.replace(/(:\/\/z4a_[\w-]+)@/, `$1.${key}@`) : shown.dataset.plain;
    shown.parentElement.querySelector("[data-copy]").dataset.copy = shown.textContent;
  }
});

// -- keys: an element that shows a key has it in data-key -----------------------------------------------------------------
let prefix = "";

function rows() { return [...document.querySelectorAll("tbody .through")]; }

function move(step) {
  const all = rows();
  if (!all.length) return;
  const at = all.indexOf(document.activeElement);
  const next = all[Math.min(Math.max(at + step, 0), all.length - 1)];
  next.focus({ preventScroll: true });
  next.closest("tr").scrollIntoView({ block: "nearest" });
}

function tick(row) {
  const box = row?.querySelector(".tick");
  if (!box) return;
  box.checked = !box.checked;
  ticked();
}

function ticked() {
  const boxes = [...document.querySelectorAll(".tick:checked")];
  const ids = boxes.map((box) => box.closest("[data-task]").dataset.task);
  const bar = document.querySelector("[data-ticks]");
  if (!bar) return;
  bar.hidden = !ids.length;
  bar.querySelector("[data-copy]").dataset.copy = ids.join("\n");
  bar.querySelector("span").textContent = `${ids.length} selected`;
}

document.addEventListener("change", (event) => { if (event.target.matches(".tick")) ticked(); });

function press(key) {
  const target = [...document.querySelectorAll("[data-key]")].find((element) => element.dataset.key === key && element.checkVisibility());
  if (!target) return false;
  if (target.matches("input")) { target.focus(); target.select(); } else target.click();
  return true;
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    document.querySelectorAll("details.drawer[open], details.menu[open]").forEach((element) => { element.open = false; });
    document.activeElement?.blur();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select, [contenteditable]")) return;
  const key = prefix ? `${prefix} ${event.key}` : event.key;
  prefix = "";
  if (key === "j") move(1);
  else if (key === "k") move(-1);
  else if (key === "x") tick(document.activeElement?.closest("[data-row]"));
  else if (key === "g") { prefix = "g"; setTimeout(() => { prefix = ""; }, 1500); return; }
  else if (!press(key)) return;
  event.preventDefault();
});

// A sheet is focused when it opens.
document.addEventListener("toggle", (event) => {
  if (event.target.matches?.("details.drawer") && event.target.open) event.target.querySelector(".sheet textarea, .sheet input:not([type=hidden]), .sheet select, .sheet .btn:not([data-shut])")?.focus();
}, true);
