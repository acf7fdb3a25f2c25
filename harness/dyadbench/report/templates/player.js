// The drawn faces. All of them follow one clock; the voice, where there is one, follows it too.
(() => {
  "use strict";
  const data = JSON.parse(document.getElementById("player-data").textContent);
  const at = (id) => document.getElementById(id);
  const [player, play, time, clock, loop, sound, note] =
    ["player", "play", "time", "clock", "loop", "sound", "voice-note"].map(at);
  const picks = [...player.querySelectorAll("select.pick")];
  const width = data.drawn.length;
  const { face, pose, value, element, clamp } = faces(data.drawn, data.range);
  let clip, people, talks = [], frame = 0, playing = false, began = 0, base = 0, cursors = [];
  const audio = new Audio();
  const unpack = (text) => Int8Array.from(atob(text), (c) => c.charCodeAt(0));
  const shown = () => [...new Set(picks.map((pick) => pick.value).filter(Boolean))];

  function cast() {
    clip = data.clips.find((one) => one.id === at("clip").value) ?? data.clips[0];
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
        if (group.title === "speaker" && clip.loudness?.length) cell.className = "who";
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
    talks = clip.loudness ? clip.loudness.map((x) => x > 0.15) : [];
    wave();
    curves(groups);
    seek(Math.min(frame, clip.frames - 1));
    keep();
  }

  // The voice as a wave, one bar per frame, and the stretches in which the speaker speaks.
  function wave() {
    const box = at("wave"), loud = clip.loudness ?? [];
    box.toggleAttribute("hidden", !loud.length);
    const step = 1000 / Math.max(clip.frames, 1);
    const cursor = element("line", { class: "cursor", y1: 0, y2: 60 });
    box.replaceChildren(...loud.map((x, t) => element("rect", {
      x: (t * step).toFixed(1), width: (step * 0.8).toFixed(2), y: (30 - 28 * x).toFixed(1), height: Math.max(56 * x, 1).toFixed(1), class: talks[t] ? "loud" : "still",
    })), cursor);
    box.onclick = (event) => seek((event.offsetX / box.clientWidth) * clip.frames);
  }

  function stretches() {
    const found = [];
    talks.forEach((on, t) => { if (on) { if (found.length && found.at(-1)[1] >= t - 5) found.at(-1)[1] = t; else found.push([t, t]); } });
    return found;
  }

  // Curves: the drawn channels in which the true listener varies most.
  function curves(groups) {
    const truth = groups[1].faces[0].motion, count = clip.frames;
    const spread = (p) => {
      let sum = 0, squares = 0;
      for (let t = 0; t < count; t++) { const x = truth[t * width + p]; sum += x; squares += x * x; }
      return squares / count - (sum / count) ** 2;
    };
    const strongest = data.drawn.map((_, p) => p).filter((p) => spread(p) > 0).sort((a, b) => spread(b) - spread(a) || a - b).slice(0, 4);
    const sources = [
      ["speaker", groups[0].faces[0].motion, "s8"], [groups[1].faces[0].label, truth, "s1"],
      ...groups.slice(2).filter((g) => g.faces.length).map((g, i) => [g.method, g.faces[0].motion, ["s2", "s3", "s4"][i]]),
    ];
    cursors = [];
    at("channels").replaceChildren(...strongest.map((p) => {
      let [low, high] = [Infinity, -Infinity];
      for (const [, motion] of sources) for (let t = 0; t < count; t++) {
        low = Math.min(low, value(motion, t, p)); high = Math.max(high, value(motion, t, p));
      }
      if (high - low < 1e-6) high = low + 1;
      const box = document.createElement("div"), title = document.createElement("h4");
      title.textContent = data.drawn[p];
      box.append(title);
      for (const [name, motion, style] of sources) {
        const graph = element("svg", { viewBox: `0 0 ${count - 1} 100`, preserveAspectRatio: "none", role: "img", "aria-label": `${data.drawn[p]} of ${name} over time` });
        for (const [from, to] of stretches()) graph.append(element("rect", { class: "speech", x: from, y: 0, width: to - from + 1, height: 100 }));
        const points = [];
        for (let t = 0; t < count; t++) points.push(`${t},${(94 - 88 * (value(motion, t, p) - low) / (high - low)).toFixed(1)}`);
        graph.append(element("polyline", { points: points.join(" "), class: style }));
        const cursor = element("line", { class: "cursor", y1: 0, y2: 100 });
        cursors.push(cursor);
        graph.append(cursor);
        const row = document.createElement("div"), label = document.createElement("span");
        row.className = "strip";
        label.textContent = name;
        row.append(label, graph);
        box.append(row);
      }
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
    const place = ((frame + 0.5) / clip.frames * 1000).toFixed(1);
    for (const line of at("wave").querySelectorAll(".cursor")) { line.setAttribute("x1", place); line.setAttribute("x2", place); }
    const who = player.querySelector(".who");
    if (who) who.classList.toggle("speaks", Boolean(talks[frame]));
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
    else keep();
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

  // Clip, methods and time live in the address beside what the tables keep there.
  function keep() {
    const wanted = new URLSearchParams(location.hash.slice(1));
    const usual = picks.every((pick, n) => pick.value === first[n]) && clip === data.clips[0] && frame === 0;
    if (usual && !wanted.has("watch")) return;
    wanted.set("watch", "1");
    wanted.set("clip", clip.id);
    picks.forEach((pick, n) => { if (pick.value) wanted.set(`m${n + 1}`, pick.value); else wanted.delete(`m${n + 1}`); });
    wanted.set("t", (frame / data.fps).toFixed(2));
    history.replaceState(null, "", "#" + wanted);
  }

  const first = picks.map((pick) => pick.value);

  function read() {
    const wanted = new URLSearchParams(location.hash.slice(1));
    if (!wanted.has("watch")) return cast();
    const has = (field, name) => [...field.options].some((option) => option.value === name);
    if (has(at("clip"), wanted.get("clip"))) at("clip").value = wanted.get("clip");
    picks.forEach((pick, n) => { const name = wanted.get(`m${n + 1}`) ?? ""; if (has(pick, name)) pick.value = name; });
    frame = Math.max(Math.round(Number(wanted.get("t") ?? 0) * data.fps) || 0, 0);
    cast();
    player.scrollIntoView();
  }

  play.addEventListener("click", () => toggle());
  time.addEventListener("input", () => seek(Number(time.value)));
  time.addEventListener("change", keep);
  sound.addEventListener("change", voice);
  at("clip").addEventListener("change", cast);
  picks.forEach((pick) => pick.addEventListener("change", cast));
  player.addEventListener("keydown", (event) => {
    if (event.target !== player || event.ctrlKey || event.metaKey || event.altKey) return;
    const act = {
      " ": () => toggle(), ArrowRight: () => seek(frame + 1), ArrowLeft: () => seek(frame - 1),
      Home: () => seek(0), End: () => seek(clip.frames - 1), l: () => { loop.checked = !loop.checked; },
    }[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (act) { act(); if (!playing) keep(); event.preventDefault(); }
  });
  addEventListener("hashchange", read);
  read();
})();
