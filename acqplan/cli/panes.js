// The four pictures of the explore page: draws what the server reconstructs at the knobs' latest position.
// Window, zoom and pan are shared and need no server. One request is under way at a time; positions that were
// passed meanwhile are dropped.

window.panes = (() => {
  const names = ["zero", "now", "held", "difference"];
  const state = { knob: [], shape: [1, 1], low: 0, high: 1, zoom: 1, x: 0, y: 0, limit: 1, busy: false, stale: false };
  const pixels = {};
  const drawn = [];

  const element = (name) => document.getElementById(`pane-${name}`);
  const text = (name, words) => { const e = document.getElementById(name); if (e) e.textContent = words; };
  const position = () => state.knob.map((value) => value.toFixed(3)).join(", ");

  async function fetched(address) {
    const answer = await fetch(address);
    if (!answer.ok) throw new Error(await answer.text());
    return new Uint16Array(await answer.arrayBuffer());
  }

  function paint(name, colour) {
    const canvas = element(name);
    if (!canvas || !pixels.now) return;
    const [rows, columns] = state.shape;
    if (canvas.width !== columns || canvas.height !== rows) { canvas.width = columns; canvas.height = rows; }
    const context = canvas.getContext("2d");
    const image = context.createImageData(columns, rows);
    for (let i = 0; i < rows * columns; i++) colour(i, image.data, 4 * i);
    context.putImageData(image, 0, 0);
  }

  function grey(name) {
    const data = pixels[name];
    if (!data) return;
    const low = state.low * 65535, scale = 255 / Math.max(1, (state.high - state.low) * 65535);
    paint(name, (i, out, at) => {
      const level = (data[i] - low) * scale;
      out[at] = out[at + 1] = out[at + 2] = level;
      out[at + 3] = 255;
    });
  }

  // Blue is less than the held image, white the same, red more; full colour at a tenth of the scale.
  function difference() {
    const { now, held } = pixels;
    if (!now || !held) return;
    paint("difference", (i, out, at) => {
      const share = Math.max(-1, Math.min(1, (now[i] - held[i]) / 6553.5));
      const fade = 255 * (1 - Math.abs(share));
      out[at] = share < 0 ? fade : 255;
      out[at + 1] = fade;
      out[at + 2] = share > 0 ? fade : 255;
      out[at + 3] = 255;
    });
  }

  function repaint() {
    for (const name of ["zero", "now", "held"]) grey(name);
    difference();
  }

  function place() {
    const move = `translate(${state.x}px, ${state.y}px) scale(${state.zoom})`;
    for (const name of names) if (element(name)) element(name).style.transform = move;
  }

  function zoom(factor) {
    state.zoom = factor === 0 ? 1 : Math.max(1, Math.min(16, state.zoom * factor));
    if (state.zoom === 1) state.x = state.y = 0;
    place();
  }

  async function draw() {
    if (state.busy) { state.stale = true; return; }
    state.busy = true;
    do {
      state.stale = false;
      const asked = performance.now(), knob = state.knob.join(",");
      try {
        pixels.now = await fetched(`/explore/image?knob=${knob}`);
        if (!pixels.held) hold();
        grey("now");
        difference();
        drawn.push({ knob, took: performance.now() - asked });
        text("label-now", `knob ${position()}`);
      } catch (error) { text("label-now", String(error.message || error)); }
    } while (state.stale);
    state.busy = false;
    judge();
  }

  let waiting = null;
  function judge() {
    clearTimeout(waiting);
    waiting = setTimeout(async () => {
      const answer = await fetch(`/explore/judged?knob=${state.knob.join(",")}`);
      if (answer.ok) text("judged", await answer.text());
    }, 250);
  }

  function hold() {
    pixels.held = pixels.now.slice();
    text("label-held", `held at ${position()}`);
    grey("held");
    difference();
  }

  function turn(i, value) { state.knob[i] = Number(value); return draw(); }
  function set(knob) { state.knob = knob.map(Number); return draw(); }
  function range(low, high) { state.low = low; state.high = Math.max(high, low + 0.001); repaint(); }

  function listen() {
    document.querySelectorAll(".pane").forEach((pane) => {
      pane.addEventListener("wheel", (event) => { event.preventDefault(); zoom(event.deltaY < 0 ? 1.2 : 1 / 1.2); }, { passive: false });
      pane.addEventListener("pointerdown", (event) => { pane.setPointerCapture(event.pointerId); });
      pane.addEventListener("pointermove", (event) => {
        if (event.buttons !== 1 || state.zoom === 1) return;
        state.x += event.movementX; state.y += event.movementY; place();
      });
    });
    document.addEventListener("keydown", (event) => {
      const target = event.target;
      const inField = target && (target.tagName === "INPUT" || target.tagName === "TEXTAREA");
      if (inField || event.ctrlKey || event.metaKey || event.altKey) return;
      if ("khce".includes(event.key)) { document.querySelector(`.press-${event.key}`).click(); event.preventDefault(); }
      if (event.key === "+" || event.key === "=") zoom(1.2);
      if (event.key === "-") zoom(1 / 1.2);
      if (event.key === "0") zoom(0);
      const onSlider = target && target.getAttribute && target.getAttribute("role") === "slider";
      if (!onSlider && (event.key === "ArrowLeft" || event.key === "ArrowRight")) {
        emitEvent("nudge", event.key === "ArrowLeft" ? -0.01 : 0.01);
        event.preventDefault();
      }
    });
  }

  async function start(shape, knob) {
    state.shape = shape;
    state.knob = knob.map(Number);
    listen();
    await draw();
    pixels.zero = await fetched("/explore/zero-filled");
    grey("zero");
  }

  return { start, turn, set, hold, range, zoom, drawn, state, pixels };
})();
