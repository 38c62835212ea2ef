// In the page's head: the microphone of every tab, and what the tabs "Live" and "Record" share.

// Browsers suppress noise and ride the gain for telephony: the first word is clipped, the next ones fade.
if (navigator.mediaDevices) {
  const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  navigator.mediaDevices.getUserMedia = (wanted) =>
    ask({ ...wanted, audio: wanted.audio && { ...(wanted.audio === true ? {} : wanted.audio), ...plain } });
}

// Blocks of samples; told to stop, the rest and an empty one.
const SAMPLES = `registerProcessor("samples", class extends AudioWorkletProcessor {
  constructor() {
    super();
    this.samples = [];
    this.port.onmessage = () => {
      if (this.samples.length) this.port.postMessage(this.samples.splice(0));
      this.port.postMessage([]);
    };
  }
  process([[channel]]) {
    if (channel) this.samples.push(...channel);
    if (this.samples.length >= 2048) this.port.postMessage(this.samples.splice(0));
    return true;
  }
});`;

async function readSamples(context) {
  const source = URL.createObjectURL(new Blob([SAMPLES], { type: "text/javascript" }));
  await context.audioWorklet.addModule(source);
  return new AudioWorkletNode(context, "samples", {
    channelCount: 1,
    channelCountMode: "explicit",
    numberOfOutputs: 0,
  });
}

/**
 * Lets a tab record: block by block through a WebSocket, which loses none where the server is slow.
 *
 * @param tab Holds a form with the button "record", a .level and a line that is .said.
 * @param path Of the WebSocket; the form's fields are its query.
 * @param hear Takes what the server answers: events, and the bytes of files.
 * @param toggled Is told when the server begins to listen, and when it has ended.
 * @param isDeaf Whether the next block is to be left out.
 * @returns say(text, isRefusal), which writes the line, and send(text) to the server.
 */
function addMicrophone(tab, path, hear, { toggled = () => {}, isDeaf = () => false } = {}) {
  const form = tab.querySelector("form");
  const record = form.querySelector("[name=record]");
  const level = tab.querySelector(".level div");
  const said = tab.querySelector(".said");
  let socket = null;
  let stop = null;

  function say(text, isRefusal = false) {
    said.textContent = text || "\u00a0";
    said.classList.toggle("refused", isRefusal);
  }

  /** An empty one tells the server that there is no more. */
  function sendBlock(samples) {
    const peak = Math.max(1e-9, ...samples.map(Math.abs));
    level.style.width = `${Math.max(0, 100 + (100 / 60) * 20 * Math.log10(peak))}%`;
    if (!samples.length || !isDeaf())
      socket.send(Int16Array.from(samples, (x) => Math.max(-32768, Math.min(32767, Math.round(x * 32768)))));
  }

  /** Resolves to why the server ended, empty if it was told to. */
  function open(sampling_rate, opened) {
    const query = new URLSearchParams(new FormData(form));
    query.set("rate", sampling_rate);
    socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}${path}?${query}`);
    socket.binaryType = "arraybuffer";
    let problem = "the connection to the server ended: record again to go on.";
    socket.onopen = opened;
    socket.onmessage = ({ data }) => {
      const answer = typeof data === "string" ? JSON.parse(data) : data;
      if (answer.type === "error") problem = answer.text;
      else if (answer.type === "hint") say(answer.text, true);
      else hear(answer);
    };
    return new Promise((resolve) => (socket.onclose = ({ code }) => resolve(code === 1000 ? "" : problem)));
  }

  async function listen() {
    if (!navigator.mediaDevices) throw new Error("a microphone needs localhost or https.");
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    const context = new AudioContext();
    let closed;
    try {
      const worklet = await readSamples(context);
      closed = open(context.sampleRate, () => {
        toggled(true);
        context.createMediaStreamSource(stream).connect(worklet);
      });
      const stopped = new Promise((resolve) => {
        worklet.port.onmessage = ({ data }) => {
          sendBlock(data);
          if (!data.length) resolve();
        };
      });
      stop = () => (socket.readyState === WebSocket.OPEN ? worklet.port.postMessage("stop") : socket.close());
      record.disabled = false;
      await Promise.race([closed, stopped]);
      worklet.port.onmessage = null;
    } finally {
      stream.getTracks().forEach((track) => track.stop());
      context.close();
      level.style.width = 0;
    }
    return closed;
  }

  form.onsubmit = async (event) => {
    event.preventDefault();
    record.disabled = true;
    if (record.textContent === "Stop") return stop();
    record.textContent = "Stop";
    say("");
    const problem = await listen().catch((error) => `no microphone: ${error.message}`);
    toggled(false);
    record.textContent = "Record";
    record.disabled = false;
    say(problem, Boolean(problem));
  };
  return { say, send: (text) => socket?.readyState === WebSocket.OPEN && socket.send(text) };
}
