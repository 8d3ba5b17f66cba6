// SPDX-License-Identifier: AGPL-3.0-or-later
// Additions to links and forms: copying, relative times, menus and drawers. Keys: keys.js; the live connection: live.js.
// Every page can be read and used without this script.

const root = document.documentElement;
const { dataset } = document.body;
try { new Intl.DateTimeFormat("en", { timeZone: dataset.zone }); } catch { dataset.zone = "UTC"; } // a zone that only the server knows
root.classList.add("scripted");

// -- relative times: updated in place, so that an open page remains correct -------------------------------------------------
const THIN = "\u202f";
const dates = new Intl.DateTimeFormat("en-GB", {
  day: "2-digit", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone: dataset.zone,
});

function parts(at) { return Object.fromEntries(dates.formatToParts(at).map((part) => [part.type, part.value])); }

function age(at, now) {
  const away = Math.abs(now - at) / 1000;
  if (away >= 86400) {
    const { day, month, year, hour, minute } = parts(at);
    const short = month.slice(0, 3); // some browsers write Sept
    return year === parts(now).year ? `${day} ${short} ${hour}:${minute}` : `${day} ${short} ${year}`;
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

// What the palette remembers of a person ends with the sign-out.
document.addEventListener("submit", (event) => {
  if (!event.target.matches("[action='/logout']")) return;
  try { for (const key of Object.keys(localStorage)) if (key.startsWith("z4j recent ")) localStorage.removeItem(key); } catch { /* nothing was remembered */ }
});

// A sheet is focused when it opens.
document.addEventListener("toggle", (event) => {
  if (event.target.matches?.("details.drawer") && event.target.open) event.target.querySelector(".sheet textarea, .sheet input:not([type=hidden]), .sheet select, .sheet .btn:not([data-shut])")?.focus();
}, true);
