// SPDX-License-Identifier: AGPL-3.0-or-later
// The live connection: its mark in the top bar, and pausing it. While it is paused no part of the page is refreshed; what was reported
// meanwhile is counted, and refreshed when it is resumed. A tab remembers that it is paused.

const STORED = "z4j paused";
const LIVE = "[hx-trigger*='from:body'], [hx-trigger*='every']";
const root = document.documentElement;
const air = document.querySelector("[data-air]");
let updatedAt = 0;
let isOpen = false;
let pausedAt = stored() ? Date.now() : 0;
let updates = 0;
const topics = new Set();

function stored() { try { return sessionStorage.getItem(STORED) === "yes"; } catch { return false; } }
function store(isPaused) { try { if (isPaused) sessionStorage.setItem(STORED, "yes"); else sessionStorage.removeItem(STORED); } catch { /* not allowed: this page only */ } }
function clock(at) { return new Date(at).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", timeZone: document.body.dataset.zone }); }

function show() {
  root.classList.toggle("live", isOpen && !pausedAt && !document.hidden);
  root.classList.toggle("paused", !!pausedAt);
  if (!air) return;
  air.hidden = false;
  air.setAttribute("aria-pressed", pausedAt ? "true" : "false");
  const counted = updates ? ` · ${updates} ${updates === 1 ? "update" : "updates"}` : "";
  const since = pausedAt || (isOpen ? 0 : updatedAt || Date.now());
  const [word, more] = air.querySelectorAll("span");
  word.textContent = pausedAt ? "paused" : isOpen ? "live" : "stale";
  more.textContent = since ? `since ${clock(since)}${counted}` : "";
  more.hidden = !since;
  air.title = pausedAt ? "This page is not updated. Press to resume." : isOpen ? "This page is updated live. Press to pause." : "No connection to the server: this page may be out of date";
  air.firstElementChild.className = `dot ${pausedAt ? "s-paused" : isOpen ? "s-running" : "s-late"}`;
}

function seen(open) {
  if (open) updatedAt = Date.now();
  isOpen = open;
  show();
}

document.addEventListener("htmx:sse:after:connection", () => seen(true));
document.addEventListener("htmx:sse:error", () => seen(false));
document.addEventListener("htmx:sse:close", () => seen(false));
addEventListener("offline", () => seen(false));

document.addEventListener("htmx:sse:before:message", (event) => {
  const topic = event.detail.message?.event;
  if (pausedAt && topic) {
    event.preventDefault();
    topics.add(topic);
    updates += 1;
  }
  seen(true);
});

// What is refreshed by the clock, or by a message from before the pause that waited for its turn.
document.addEventListener("htmx:before:request", (event) => {
  const source = event.detail?.ctx?.sourceElement ?? event.target;
  if (!pausedAt || !source?.matches?.(LIVE)) return;
  event.preventDefault();
  const topic = /(\w+) from:body/.exec(source.getAttribute("hx-trigger"))?.[1];
  if (topic) topics.add(topic);
});

air?.addEventListener("click", () => {
  const isPausing = !pausedAt;
  pausedAt = isPausing ? Date.now() : 0;
  store(isPausing);
  const missed = [...topics];
  topics.clear();
  updates = 0;
  show();
  for (const topic of missed) htmx.trigger(document.body, topic);
});

if (pausedAt) show();
