"use strict";
/* Pause, resume and the emergency stop: each needs the token, which comes behind the # of the printed address. */
live.controls = (() => {
  const by = (id) => document.getElementById(id);
  const pause = by("pause"), stop = by("stop"), dialog = by("ask"), field = by("token");
  let socket = null, known = "", asked = null, paused = false;
  const WORDS = {
    pause: ["Pause the run", "The clock stands still. Devices of a bench keep their set-points until these expire, then the default envelope."],
    resume: ["Resume the run", "The clock goes on where it stopped."],
    stop: ["Emergency stop", "Every armed device of the bench goes to its safe state and stays there until somebody releases the stop at the bench."],
    look: ["This page needs a token", "It is served to other machines as well."],
  };

  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    sessionStorage.setItem("token", given);
    history.replaceState(null, "", location.pathname);
  }
  known = sessionStorage.getItem("token") ?? "";

  const send = (action) => {
    if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ action, token: known }));
  };
  const ask = (action, wrong = "") => {
    asked = action;
    [by("ask-title").textContent, by("ask-text").textContent] = WORDS[action];
    by("ask-wrong").textContent = wrong;
    by("ask-go").textContent = action === "look" ? "Look" : WORDS[action][0];
    by("ask-go").classList.toggle("stop", action === "stop");
    field.value = known;
    if (!dialog.open) dialog.showModal();
    field.focus();
  };
  let look = null;
  dialog.querySelector("form").addEventListener("submit", () => {
    known = field.value.trim();
    if (asked === "look") {
      sessionStorage.setItem("token", known);
      look();
    } else send(asked);
  });
  by("ask-cancel").addEventListener("click", () => dialog.close());
  /* An emergency stop is asked about once more; the others only while no token is known. */
  stop.addEventListener("click", () => ask("stop"));
  pause.addEventListener("click", () => {
    const action = paused ? "resume" : "pause";
    if (known) send(action);
    else ask(action);
  });

  return {
    token: () => known,
    connected: (now) => { socket = now; },
    disconnected: () => { pause.disabled = stop.disabled = true; },
    askToLook: (again) => {
      look = again;
      ask("look", known ? "This token is wrong." : "");
    },
    answered: ({ action, why }) => {
      if (!why) sessionStorage.setItem("token", known);
      else if (why === "wrong token") {
        known = "";
        sessionStorage.removeItem("token");
        ask(action, "This token is wrong.");
      } else live.panels.notice("failed", "Not done", why);
    },
    show: (frame) => {
      paused = frame.paused;
      pause.hidden = !["running", "starting"].includes(frame.status);
      pause.disabled = false;
      pause.textContent = paused ? "Resume" : "Pause";
      stop.hidden = !frame.devices;
      stop.disabled = Boolean(frame.stopped);
      stop.textContent = frame.stopped ? "Stopped" : "Emergency stop";
    },
  };
})();
