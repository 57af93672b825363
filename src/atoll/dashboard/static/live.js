// Keeps the parts of a page up to date that say where their news come from: data-live="/live/…".
// Each event is a piece of markup made by the server, in which everything that was stored is escaped.

const MOST = 1000; // log lines that are kept in a page
const state = document.querySelector("[data-state]");
const pause = document.querySelector("[data-pause]");
let paused = false;

function tell(text) {
  if (state) {
    state.textContent = text;
    state.className = `state ${text}`;
  }
}

function take(place, text) {
  if (place.dataset.mode === "prepend") {
    const piece = document.createElement("template");
    piece.innerHTML = text;
    place.prepend(piece.content);
    while (place.childElementCount > MOST) place.lastElementChild.remove();
  } else if (!place.contains(document.activeElement) || document.activeElement === document.body) {
    place.innerHTML = text;
  }
}

function follow(place) {
  let source = null;
  let last = "";
  const open = () => {
    if (source || document.hidden || paused) return;
    const address = new URL(place.dataset.live, location.href);
    if (last) address.searchParams.set("after", last);
    source = new EventSource(address);
    source.onopen = () => tell("live");
    source.onmessage = (event) => {
      last = event.lastEventId || last;
      take(place, event.data);
    };
    source.onerror = () => {
      tell("waiting");
      // A browser gives up for good when it is refused; we come again.
      if (source && source.readyState === EventSource.CLOSED) {
        close();
        setTimeout(open, 3000);
      }
    };
  };
  const close = () => {
    if (source) source.close();
    source = null;
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  pause?.addEventListener("click", () => {
    paused = !paused;
    pause.textContent = paused ? "Go on" : "Pause";
    tell(paused ? "paused" : "live");
    if (paused) close();
    else open();
  });
  open();
}

document.querySelectorAll("[data-live]").forEach(follow);
