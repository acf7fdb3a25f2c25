// The drawn faces. All of them follow one clock; the voice, where there is one, follows it too.
(() => {
  "use strict";
  const data = JSON.parse(document.getElementById("player-data").textContent);
  const at = (id) => document.getElementById(id);
  const [player, play, time, clock, loop, sound, note] =
    ["player", "play", "time", "clock", "loop", "sound", "voice-note"].map(at);
  const picks = [...player.querySelectorAll("select.pick")];
  const width = data.drawn.length;
  const P = Object.fromEntries(data.drawn.map((name, i) => [name, i]));
  const SVG = "http://www.w3.org/2000/svg";
  let clip, people, frame = 0, playing = false, began = 0, base = 0, cursors = [];
  const audio = new Audio();

  const unpack = (text) => Int8Array.from(atob(text), (c) => c.charCodeAt(0));
  const value = (motion, t, p) => (motion[t * width + p] / 127) * data.range[p];
  const element = (name, attributes, ...children) => {
    const made = document.createElementNS(SVG, name);
    for (const [key, text] of Object.entries(attributes)) made.setAttribute(key, text);
    made.append(...children);
    return made;
  };
  const clamp = (x, low, high) => Math.min(Math.max(x, low), high);

  // One face: parts are made once and only moved afterwards.
  function face(label) {
    const part = {};
    const add = (name, tag, attributes) => (part[name] = element(tag, attributes));
    const eye = (side) => element("g", {},
      add("white" + side, "ellipse", { fill: "var(--white)", stroke: "var(--hair)", "stroke-width": 1 }),
      add("pupil" + side, "circle", { r: 3.4, fill: "var(--pupil)" }),
      add("lid" + side, "path", { fill: "none", stroke: "var(--hair)", "stroke-width": 2.2, "stroke-linecap": "round" }));
    const features = element("g", {},
      add("cheekL", "circle", { r: 9, fill: "var(--lip)" }), add("cheekR", "circle", { r: 9, fill: "var(--lip)" }),
      eye("L"), eye("R"),
      add("browL", "path", { fill: "none", stroke: "var(--hair)", "stroke-width": 4, "stroke-linecap": "round" }),
      add("browR", "path", { fill: "none", stroke: "var(--hair)", "stroke-width": 4, "stroke-linecap": "round" }),
      add("nose", "path", { fill: "none", stroke: "var(--hair)", "stroke-width": 1.6, "stroke-linecap": "round", opacity: 0.7 }),
      add("mouth", "path", { fill: "var(--mouth)", stroke: "var(--lip)", "stroke-linejoin": "round" }));
    part.head = element("g", {}, add("skull", "ellipse", { fill: "var(--skin)", stroke: "var(--hair)", "stroke-width": 2 }),
      add("hair", "path", { fill: "var(--hair)" }), features);
    part.features = features;
    const root = element("svg", { viewBox: "0 0 120 140", role: "img", "aria-label": label }, part.head);
    return { root, part };
  }

  function pose({ part }, motion, t) {
    const v = (name) => value(motion, t, P[name]);
    const [yaw, pitch, roll] = [clamp(v("yaw"), -0.9, 0.9), clamp(v("pitch"), -0.9, 0.9), clamp(v("roll"), -0.9, 0.9)];
    const [smile, brow, frown, sad] = ["smile", "brow", "frown", "sadness"].map((n) => clamp(v(n), -1.5, 1.5));
    const jaw = clamp(v("jaw"), 0, 1.4), round = clamp(v("round"), -0.6, 1.2), press = clamp(v("press"), -0.5, 1.2);
    const set = (name, attributes) => { for (const [k, x] of Object.entries(attributes)) part[name].setAttribute(k, x); };
    part.head.setAttribute("transform", `translate(${(yaw * 10).toFixed(2)} ${(pitch * 12).toFixed(2)}) rotate(${(roll * 57.3).toFixed(2)} 60 110)`);
    part.features.setAttribute("transform", `translate(${(yaw * 24).toFixed(2)} ${(pitch * 20).toFixed(2)})`);
    const chin = 52 + 5 * jaw;
    set("skull", { cx: 60, cy: 70 + 2.5 * jaw, rx: 42, ry: chin });
    set("hair", { d: `M19 62 C18 22 42 14 60 14 S102 22 101 62 C${(92 + yaw * 8).toFixed(1)} ${(38 + pitch * 10).toFixed(1)} ${(28 + yaw * 8).toFixed(1)} ${(38 + pitch * 10).toFixed(1)} 19 62 Z` });
    const open = clamp(1 + 0.2 * brow - 0.35 * Math.max(v("lid"), 0) - 1.1 * Math.max(v("blink"), 0), 0, 1.3);
    const look = clamp(v("gaze"), -1, 1) * 4;
    for (const [side, x, sign] of [["L", 44, -1], ["R", 76, 1]]) {
      const ry = 6.5 * open;
      set("white" + side, { cx: x, cy: 64, rx: 8, ry: ry.toFixed(2), opacity: open < 0.12 ? 0 : 1 });
      set("pupil" + side, { cx: x + look, cy: 64, r: Math.min(3.4, ry).toFixed(2), opacity: open < 0.12 ? 0 : 1 });
      set("lid" + side, { d: `M${x - 8} 64 Q${x} ${(64 - 2 * ry).toFixed(2)} ${x + 8} 64` });
      const high = 50 - 6 * brow + 2.5 * Math.max(frown, 0);
      const inner = high + 4 * Math.max(frown, 0) - 4 * Math.max(sad, 0);
      set("brow" + side, { d: `M${x + sign * 10} ${(high + 1).toFixed(2)} Q${x + sign * 2} ${(high - 4).toFixed(2)} ${(x - sign * (8 + 1.5 * Math.max(frown, 0))).toFixed(2)} ${inner.toFixed(2)}` });
      set("cheek" + side, { cx: 60 + sign * 25, cy: 86, opacity: clamp(0.35 * v("cheek"), 0, 0.45).toFixed(3) });
    }
    set("nose", { d: `M60 68 Q${(57 + yaw * 8).toFixed(1)} 82 60 83` });
    const half = clamp(15 + 5 * smile - 7 * round, 5, 26), corner = 101 - 6 * smile + 6 * Math.max(sad, 0), gap = 13 * jaw;
    const upper = 101 + 2.5 * smile - gap * 0.25, lower = 101 + 4.5 * smile + gap * 1.7 + 1;
    set("mouth", {
      d: `M${60 - half} ${corner.toFixed(2)} Q60 ${upper.toFixed(2)} ${60 + half} ${corner.toFixed(2)} Q60 ${lower.toFixed(2)} ${60 - half} ${corner.toFixed(2)} Z`,
      "stroke-width": clamp(3.4 - 1.8 * press, 1, 4.5).toFixed(2),
    });
  }

  const shown = () => [...new Set(picks.map((pick) => pick.value).filter(Boolean))];

  function cast() {
    clip = data.clips[Number(at("clip").value)];
    const groups = [
      { title: "speaker", faces: [{ label: "speaker", motion: unpack(clip.speaker.face) }] },
      { title: "listeners", faces: clip.listeners.map((p) => ({ label: p.label, motion: unpack(p.face) })) },
      ...shown().map((name) => ({
        title: name + (data.static.includes(name) ? " (emits emotion only: the head rests)" : ""), method: name,
        faces: (data.methods[name][clip.id] ?? []).map((text, k) => ({ label: `sample ${k + 1}`, motion: unpack(text) })),
      })),
    ];
    const box = at("cast");
    box.replaceChildren();
    people = [];
    for (const group of groups) {
      const section = document.createElement("section");
      const title = document.createElement("h3");
      title.textContent = group.title;
      const row = document.createElement("div");
      row.className = "faces";
      for (const one of group.faces) {
        const drawn = face(`${group.title}, ${one.label}`);
        const cell = document.createElement("div");
        cell.append(drawn.root, one.label);
        row.append(cell);
        people.push({ ...one, ...drawn, group: group.title });
      }
      section.append(title, row);
      box.append(section);
    }
    time.max = clip.frames - 1;
    if (clip.voice) audio.src = "data:audio/flac;base64," + clip.voice;
    else audio.removeAttribute("src");
    sound.disabled = !clip.voice;
    note.textContent = clip.voice ? "" : "This dataset has no recording of the speaker's voice.";
    curves(groups);
    seek(Math.min(frame, clip.frames - 1));
  }

  // Curves: the drawn channels in which the true listener varies most.
  function curves(groups) {
    const truth = groups[1].faces[0].motion, count = clip.frames;
    const spread = (p) => {
      let sum = 0, squares = 0;
      for (let t = 0; t < count; t++) { const x = truth[t * width + p]; sum += x; squares += x * x; }
      return squares / count - (sum / count) ** 2;
    };
    const strongest = data.drawn.map((_, p) => p).sort((a, b) => spread(b) - spread(a) || a - b).slice(0, 4);
    const sources = [
      ["speaker", groups[0].faces[0].motion, "s8"], [groups[1].faces[0].label, truth, "s1"],
      ...groups.slice(2).filter((g) => g.faces.length).map((g, i) => [g.method, g.faces[0].motion, ["s2", "s3", "s4"][i]]),
    ];
    at("legend").replaceChildren(...sources.map(([name, , style]) => {
      const item = document.createElement("li");
      item.append(element("svg", { "aria-hidden": "true" }, element("line", { x1: 0, x2: 34, y1: 4, y2: 4, class: style })), name);
      return item;
    }));
    cursors = [];
    at("channels").replaceChildren(...strongest.map((p) => {
      let [low, high] = [Infinity, -Infinity];
      for (const [, motion] of sources) for (let t = 0; t < count; t++) {
        low = Math.min(low, value(motion, t, p)); high = Math.max(high, value(motion, t, p));
      }
      if (high - low < 1e-6) high = low + 1;
      const graph = element("svg", { viewBox: `0 0 ${count - 1} 100`, preserveAspectRatio: "none", role: "img", "aria-label": `${data.drawn[p]} over time` });
      for (const [, motion, style] of sources) {
        const points = [];
        for (let t = 0; t < count; t++) points.push(`${t},${(96 - 92 * (value(motion, t, p) - low) / (high - low)).toFixed(1)}`);
        graph.append(element("polyline", { points: points.join(" "), class: style }));
      }
      const cursor = element("line", { class: "cursor", y1: 0, y2: 100 });
      cursors.push(cursor);
      graph.append(cursor);
      const box = document.createElement("div");
      box.append(data.drawn[p], graph);
      return box;
    }));
  }

  function draw() {
    for (const one of people) pose(one, one.motion, frame);
    time.value = frame;
    const text = `${(frame / data.fps).toFixed(1)} s of ${(clip.frames / data.fps).toFixed(1)}`;
    clock.textContent = text;
    time.setAttribute("aria-valuetext", text);
    for (const cursor of cursors) { cursor.setAttribute("x1", frame); cursor.setAttribute("x2", frame); }
    player.dataset.frame = frame;
  }

  function voice() {
    if (playing && sound.checked && clip.voice) {
      if (Math.abs(audio.currentTime - frame / data.fps) > 0.12) audio.currentTime = frame / data.fps;
      if (audio.paused) audio.play().catch(() => { note.textContent = "This browser does not play the voice."; });
    } else audio.pause();
  }

  function seek(to) {
    frame = clamp(Math.round(to), 0, clip.frames - 1);
    [base, began] = [frame, performance.now()];
    if (clip.voice && audio.readyState) audio.currentTime = frame / data.fps;
    draw();
  }

  function toggle(on = !playing) {
    playing = on;
    play.textContent = on ? "Pause" : "Play";
    play.setAttribute("aria-pressed", String(on));
    if (on) {
      seek(frame >= clip.frames - 1 ? 0 : frame);
      requestAnimationFrame(tick);
    }
    voice();
  }

  function tick(now) {
    if (!playing) return;
    const next = base + Math.floor(Math.max(now - began, 0) / 1000 * data.fps);
    if (next >= clip.frames) {
      if (!loop.checked) { seek(clip.frames - 1); return toggle(false); }
      seek(0);
      audio.currentTime = 0;
    } else if (next !== frame) { frame = next; draw(); }
    voice();
    requestAnimationFrame(tick);
  }

  play.addEventListener("click", () => toggle());
  time.addEventListener("input", () => seek(Number(time.value)));
  sound.addEventListener("change", voice);
  at("clip").addEventListener("change", cast);
  picks.forEach((pick) => pick.addEventListener("change", cast));
  player.addEventListener("keydown", (event) => {
    if (event.target !== player || event.ctrlKey || event.metaKey || event.altKey) return;
    const act = {
      " ": () => toggle(), ArrowRight: () => seek(frame + 1), ArrowLeft: () => seek(frame - 1),
      Home: () => seek(0), End: () => seek(clip.frames - 1), l: () => { loop.checked = !loop.checked; },
    }[event.key];
    if (act) { act(); event.preventDefault(); }
  });
  cast();
})();
