"use strict";
/* The page's connection: greeting once, then frames; reconnects for as long as the run goes on. */
(() => {
  const { panels, controls } = live;
  const ENDED = ["complete", "failed", "interrupted"], RETRY_MS = [500, 1000, 2000, 5000];
  const WRONG_TOKEN = 4401, CROWDED = 4429;
  let run = null, last = null, tries = 0;

  /* Scripts of the report read the page's data when they load, so they are loaded once there is some. */
  const load = (source) => new Promise((done, failed) => {
    const script = document.createElement("script");
    Object.assign(script, { src: source, onload: done, onerror: failed });
    document.head.append(script);
  });

  const greet = async (greeting) => {
    if (run === greeting.run) return;
    if (run !== null) {
      location.reload();
      return;
    }
    run = greeting.run;
    document.getElementById("data").textContent = JSON.stringify(greeting.page);
    await load("/time.js");
    await load("/kit.js");
    panels.begin(greeting);
  };

  const connect = () => {
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/watch`);
    let ready = Promise.resolve(), fresh = true;
    socket.onopen = () => socket.send(JSON.stringify({ token: controls.token() }));
    socket.onmessage = (event) => {
      const message = JSON.parse(event.data);
      if (message.kind === "greeting") ready = greet(message);
      else if (message.kind === "answer") controls.answered(message);
      else ready.then(() => {
        tries = 0;
        last = message.frame.status;
        panels.show(message.frame, message.curves, fresh);
        controls.show(message.frame);
        fresh = false;
      });
    };
    socket.onclose = (event) => {
      controls.disconnected();
      if (event.code === WRONG_TOKEN) controls.askToLook(connect);
      else if (event.code === CROWDED) panels.notice("lost", "Too many viewers", "Close another page that shows this run.");
      else if (ENDED.includes(last)) panels.gone();
      else {
        panels.lost();
        setTimeout(connect, RETRY_MS[Math.min(tries++, RETRY_MS.length - 1)]);
      }
    };
    controls.connected(socket);
  };
  connect();
})();
