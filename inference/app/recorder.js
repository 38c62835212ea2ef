// The tab "Record": the microphone through a WebSocket into the server's guided recording, and its answers.
// Gradio calls this with the tab as `element`.
const find = (selector) => element.querySelector(selector);
const form = find("form");
const player = find("audio");
const button = Object.fromEntries(["record", "again", "skip"].map((name) => [name, find(`[name=${name}]`)]));
const SAMPLES = `registerProcessor("samples", class extends AudioWorkletProcessor {
  constructor() { super(); this.samples = []; }
  process([[channel]]) {
    if (channel) this.samples.push(...channel);
    if (this.samples.length >= 2048) this.port.postMessage(this.samples.splice(0));
    return true;
  }
});`;
let socket = null;
let release = () => {};

function say(text, isRefusal = false) {
  find(".said").textContent = text || "\u00a0";
  find(".said").classList.toggle("refused", isRefusal);
}

function ask(text) {
  const [, progress, asked] = /^(?:\[(.*?)\] )?(.*)$/.exec(text);
  find(".progress").textContent = progress || "\u00a0";
  find(".asked").textContent = asked;
}

/** An answer of the server: a WAV file, or a line of JSON. */
function hear({ data }) {
  if (typeof data !== "string") {
    URL.revokeObjectURL(player.src);
    player.src = URL.createObjectURL(new Blob([data], { type: "audio/wav" }));
    return;
  }
  const event = JSON.parse(data);
  if (event.type === "asked") ask(event.text);
  if (event.type === "hint") say(event.text, true);
  if (event.type === "error") finish(event.text);
  if (event.type === "taken" && event.problem) say(`once more: ${event.problem}`, true);
  if (event.type === "taken" && !event.problem)
    say(`kept ${event.name}, ${event.seconds.toFixed(2)} s, peak ${event.peak_dbfs.toFixed(0)} dBFS`);
}

async function begin() {
  if (!navigator.mediaDevices) throw new Error("a microphone needs localhost or https.");
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  const context = new AudioContext();
  release = () => {
    stream.getTracks().forEach((track) => track.stop());
    context.close();
    release = () => {};
  };
  const source = URL.createObjectURL(new Blob([SAMPLES], { type: "text/javascript" }));
  await context.audioWorklet.addModule(source);
  const mono = { channelCount: 1, channelCountMode: "explicit", numberOfOutputs: 0 };
  const worklet = new AudioWorkletNode(context, "samples", mono);
  const asked = new URLSearchParams(new FormData(form));
  asked.set("rate", context.sampleRate);
  const opened = new WebSocket(`${location.origin.replace(/^http/, "ws")}/v1/record?${asked}`);
  socket = opened;
  opened.binaryType = "arraybuffer";
  opened.onmessage = hear;
  opened.onclose = () => socket === opened && finish("the connection to the server ended: record again to go on.");
  opened.onopen = () => {
    button.again.disabled = button.skip.disabled = false;
    context.createMediaStreamSource(stream).connect(worklet);
  };
  let wasPlaying = false;
  worklet.port.onmessage = ({ data }) => {
    if (socket !== opened) return;
    const isPlaying = !player.paused && !player.ended;
    if (wasPlaying && !isPlaying) opened.send("p");
    wasPlaying = isPlaying;
    const peak = Math.max(...data.map(Math.abs));
    find(".level div").style.width = `${Math.max(0, 100 + (100 / 60) * 20 * Math.log10(peak || 1e-9))}%`;
    // What the loudspeaker says is no take.
    if (!isPlaying)
      opened.send(Int16Array.from(data, (x) => Math.max(-32768, Math.min(32767, Math.round(x * 32768)))));
  };
}

/** Stops, whoever began to. */
function finish(text = "") {
  const closing = socket;
  socket = null;
  closing?.close();
  release();
  button.record.textContent = "Record";
  button.again.disabled = button.skip.disabled = true;
  find(".level div").style.width = 0;
  ask("");
  say(text, Boolean(text));
}

form.onsubmit = async (event) => {
  event.preventDefault();
  if (button.record.textContent === "Stop") return finish();
  button.record.textContent = "Stop";
  button.record.disabled = true;
  say("");
  try {
    await begin();
  } catch (error) {
    finish(`no microphone: ${error.message}`);
  } finally {
    button.record.disabled = false;
  }
};
button.again.onclick = () => {
  player.pause();
  player.removeAttribute("src");
  say("");
  socket?.send("a");
};
button.skip.onclick = () => {
  say("");
  socket?.send("s");
};
