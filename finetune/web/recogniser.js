// Finds words in what the microphone delivers and asks the recogniser, all in this page.
//
// Listener does what inference/live/engine does in Python, with the energy detector; its numbers come from
// recogniser.json. Positions count samples from the start. What follows it is the page.

import * as ort from "./ort.wasm.bundle.min.mjs";

/** Level of samples in dB relative to full scale; -Infinity for silence. */
function levelDbfs(samples) {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  return 10 * Math.log10(sum / samples.length);
}

/** Follows the background level: down fast, up slowly, but for the first moment. */
class NoiseFloor {
  constructor(rules, frameMs, silenceDbfs) {
    Object.assign(this, { rules, silenceDbfs, dbfs: rules.initial_dbfs });
    this.riseDb = (rules.rise_db_per_s * frameMs) / 1000;
    this.fall = Math.min(1, frameMs / rules.fall_ms);
    this.learningFrames = Math.round(rules.learning_ms / frameMs);
  }

  update(dbfs) {
    const difference = Math.max(dbfs, this.silenceDbfs) - this.dbfs;
    const riseDb = this.riseDb * (this.learningFrames-- > 0 ? this.rules.learning_factor : 1);
    this.dbfs += difference > 0 ? Math.min(difference, riseDb) : difference * this.fall;
  }
}

/** One score per frame in, segments out: the state machine of endpointing.py. */
class Endpointer {
  constructor(rules, frameSamples, frameMs) {
    Object.assign(this, { rules, frameSamples });
    const frames = (ms) => Math.max(1, Math.round(ms / frameMs));
    this.confirm = frames(rules.confirm_ms);
    this.window = frames(rules.confirm_window_ms);
    this.hangover = frames(rules.hangover_ms);
    this.least = frames(rules.min_speech_ms);
    this.most = frames(rules.max_speech_ms);
    this.reset();
  }

  reset() {
    Object.assign(this, { state: "idle", start: 0, silenceStart: 0, silentFrames: 0 });
    Object.assign(this, { lastSpeech: 0, hits: 0, active: 0 });
  }

  get isSpeaking() {
    return ["speech", "hangover", "overlong"].includes(this.state);
  }

  push(score, position) {
    const after = position + this.frameSamples;
    const isSpeech = score >= this.rules.enter_threshold;
    const isSilence = score < this.rules.leave_threshold;
    if (this.state === "idle") {
      if (!isSpeech) return null;
      Object.assign(this, { state: "onset", start: position });
    }
    if (isSpeech) {
      this.lastSpeech = after;
      this.hits++;
    }
    if (!isSilence) this.active++;
    if (this.state === "onset") {
      if (this.hits >= this.confirm) this.state = "speech";
      else if (position - this.start >= (this.window - 1) * this.frameSamples) this.reset();
      return null;
    }
    if (isSpeech) {
      this.silentFrames = 0;
      if (this.state === "hangover") this.state = "speech";
    } else if (this.silentFrames || isSilence) {
      if (this.silentFrames++ === 0) this.silenceStart = position;
      if (this.state === "speech") this.state = "hangover";
    }
    if (this.silentFrames >= this.hangover) return this.cut(after);
    if (this.state !== "overlong" && after - this.start > this.most * this.frameSamples) {
      this.state = "overlong";
      return this.segment(after, after, "too_long");
    }
    return null;
  }

  /** Ends what is open; null if that is no confirmed speech, or was answered as too long. */
  cut(position) {
    let segment = null;
    if (this.state === "speech" || this.state === "hangover") {
      const end = this.state === "speech" ? position : this.silenceStart;
      segment = this.segment(end, position, this.active < this.least ? "too_short" : null);
    }
    this.reset();
    return segment;
  }

  segment(end, decided, reason) {
    return { start: this.start, end, lastSpeech: this.lastSpeech, decided, reason };
  }
}

/** Samples in blocks of any length in, utterances with the audio that the recogniser wants out. */
export class Listener {
  constructor(settings) {
    this.settings = settings;
    this.frame = settings.detector.frame_samples;
    this.samplesPerMs = settings.sampling_rate / 1000;
    this.frameMs = this.frame / this.samplesPerMs;
    this.lead = settings.crop_ms.pre * this.samplesPerMs;
    this.tail = settings.crop_ms.post * this.samplesPerMs;
    this.endpointer = new Endpointer(settings.endpointing, this.frame, this.frameMs);
    this.newBeginning = Math.floor(settings.limits.digital_silence_ms / this.frameMs);
    this.idleReset = (settings.limits.idle_reset_seconds * settings.sampling_rate) / this.frame;
    const { max_speech_ms, hangover_ms } = settings.endpointing;
    this.keep = this.lead + (max_speech_ms + hangover_ms + 500) * this.samplesPerMs;
    this.history = new Float32Array(4 * this.keep);
    this.filled = this.lead; // a word that begins at once gets silence into its crop
    this.pending = new Float32Array(0);
    Object.assign(this, { position: 0, previousEnd: -this.lead, levelDbfs: -Infinity });
    Object.assign(this, { silentFrames: this.newBeginning, idleFrames: 0 });
    this.noise = this.newFloor();
    this.detectorFloor = this.newFloor();
  }

  newFloor() {
    return new NoiseFloor(this.settings.noise_floor, this.frameMs, this.settings.limits.silence_dbfs);
  }

  /** Utterances that a block completed: start, end, lastSpeech, decided, reason or null, waveform. */
  push(block) {
    const samples = new Float32Array(this.pending.length + block.length);
    samples.set(this.pending);
    samples.set(block, this.pending.length);
    const utterances = [];
    let first = 0;
    for (; samples.length - first >= this.frame; first += this.frame) {
      const isSound = (sample) => Math.abs(sample) >= this.settings.limits.digital_silence;
      const silent = samples.subarray(first, first + this.frame).findIndex(isSound);
      if (silent >= 0 && this.silentFrames >= this.newBeginning && this.endpointer.state === "idle") {
        // Begins anew after digital silence: a border of frames can hide a sharp onset.
        this.detectorFloor = this.newFloor();
        this.append(samples.subarray(first, first + silent));
        first += silent;
        if (samples.length - first < this.frame) break;
      }
      this.silentFrames = silent < 0 ? this.silentFrames + 1 : 0;
      const segment = this.hear(samples.subarray(first, first + this.frame));
      if (segment) utterances.push(this.utterance(segment));
    }
    this.pending = samples.slice(first);
    return utterances;
  }

  /** What is still open when the audio ends. */
  flush() {
    const segment = this.endpointer.cut(this.position);
    return segment ? [this.utterance(segment)] : [];
  }

  hear(frame) {
    const { detector, limits } = this.settings;
    const { position } = this;
    this.append(frame);
    this.levelDbfs = Math.max(levelDbfs(frame), limits.silence_dbfs);
    const excessDb = levelDbfs(frame) - this.detectorFloor.dbfs;
    this.detectorFloor.update(this.levelDbfs);
    const score = detector.score_at_enter + (excessDb - detector.enter_db) / detector.db_per_score;
    const segment = this.endpointer.push(Math.min(Math.max(score, 0), 1), position);
    if (this.endpointer.state !== "idle") {
      this.idleFrames = 0;
    } else {
      this.noise.update(this.levelDbfs);
      if (++this.idleFrames >= this.idleReset) {
        this.idleFrames = 0;
        this.detectorFloor = this.newFloor();
      }
    }
    return segment;
  }

  append(samples) {
    if (this.filled + samples.length > this.history.length) {
      this.history.copyWithin(0, this.filled - this.keep, this.filled);
      this.filled = this.keep;
    }
    this.history.set(samples, this.filled);
    this.filled += samples.length;
    this.position += samples.length;
  }

  /** The samples from one position to another, as far as they are kept. */
  between(first, last) {
    const place = (position) => Math.max(0, this.filled - (this.position - position));
    return this.history.slice(place(first), place(Math.min(last, this.position)));
  }

  utterance(segment) {
    const speech = this.between(segment.start, segment.end);
    const reason = segment.reason ?? this.unusable(speech);
    const first = Math.max(segment.start - this.lead, this.previousEnd);
    this.previousEnd = segment.end;
    return { ...segment, reason, waveform: this.between(first, segment.end + this.tail) };
  }

  unusable(speech) {
    const { limits } = this.settings;
    let peakDbfs = -Infinity;
    for (let first = 0; first < speech.length; first += this.frame) {
      peakDbfs = Math.max(peakDbfs, levelDbfs(speech.subarray(first, first + this.frame)));
    }
    if (peakDbfs < Math.max(limits.least_peak_dbfs, this.noise.dbfs + limits.least_rise_db)) return "too_quiet";
    const clipped = speech.filter((sample) => Math.abs(sample) >= limits.full_scale).length;
    return clipped / speech.length >= limits.clipped_share ? "clipped" : null;
  }
}

/** The answer to show, as OperatingPoint.decide in Python has it: { label or null, probability, reason }. */
export function decide(probabilities, none, { labels, threshold }) {
  const probability = Math.max(...probabilities);
  const label = labels[probabilities.indexOf(probability)];
  const prefersNone = none !== null && none > probability;
  const confidence = none === null ? probability : probability / (probability + none + 1e-12);
  const isSure = threshold === null ? !prefersNone : confidence >= threshold;
  const reason = isSure ? null : prefersNone ? "unknown_class" : "low_score";
  return { label: isSure ? label : null, probability, reason };
}

const REASONS = {
  low_score: "not sure enough",
  unknown_class: "none of the words",
  too_short: "too short",
  too_long: "too long: pause between words",
  too_quiet: "too quiet",
  clipped: "too loud, distorted",
};
const MOST_SHOWN = 50;
const element = (id) => document.getElementById(id);

async function recognise(session, waveform, settings) {
  const tensor = new ort.Tensor("float32", waveform, [1, waveform.length]);
  const { probabilities, none_probability: none } = await session.run({ waveform: tensor });
  return decide([...probabilities.data], none ? none.data[0] : null, settings);
}

function show(answer, delayMs) {
  const word = answer.label ? answer.label.label : "?";
  const percent = answer.probability === undefined ? "" : `${Math.round(100 * answer.probability)} %`;
  const line = answer.label ? answer.label.word : REASONS[answer.reason];
  const item = document.createElement("li");
  item.className = answer.label ? "word" : "refused";
  for (const text of [word, line, percent, `${Math.round(delayMs)} ms`]) {
    item.appendChild(document.createElement("span")).textContent = text;
  }
  element("words").prepend(item);
  element("words").children[MOST_SHOWN]?.remove();
  element("word").textContent = word;
  element("word").className = item.className;
  element("line").textContent = line;
  element("probability").value = answer.probability ?? 0;
  element("percent").textContent = percent;
}

/** Opens the microphone as it is: what browsers do for calls would swallow words. */
function openMicrophone() {
  const wanted = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  return navigator.mediaDevices.getUserMedia({ audio: wanted });
}

function release(stream) {
  stream.getTracks().forEach((track) => track.stop());
}

/** Listens to a microphone until the returned function is called. */
async function listen(stream, session, settings) {
  const context = new AudioContext({ sampleRate: settings.sampling_rate });
  await context.audioWorklet.addModule("worklet.js");
  const mono = { channelCount: 1, channelCountMode: "explicit", numberOfOutputs: 0 };
  const worklet = new AudioWorkletNode(context, "samples", mono);
  const listener = new Listener(settings);
  let queue = Promise.resolve();
  const answerAll = (utterances) => {
    for (const utterance of utterances) {
      const heard = performance.now() - (listener.position - utterance.lastSpeech) / listener.samplesPerMs;
      queue = queue.then(async () => {
        const answer = utterance.reason
          ? { label: null, reason: utterance.reason }
          : await recognise(session, utterance.waveform, settings);
        show(answer, performance.now() - heard);
      });
    }
  };
  worklet.port.onmessage = ({ data }) => {
    answerAll(listener.push(data));
    const part = (dbfs) => `${Math.min(Math.max((100 * (dbfs + 80)) / 80, 0), 100)}%`;
    element("level").style.width = part(listener.levelDbfs);
    element("noise").style.left = part(listener.noise.dbfs);
    document.body.classList.toggle("speaking", listener.endpointer.isSpeaking);
  };
  context.createMediaStreamSource(stream).connect(worklet);
  return async () => {
    worklet.port.onmessage = null;
    answerAll(listener.flush());
    release(stream);
    await context.close();
    element("level").style.width = 0;
    document.body.classList.remove("speaking");
  };
}

async function start() {
  const settings = await (await fetch("recogniser.json")).json();
  element("vocabulary").textContent = settings.labels.map(({ word }) => word).join(", ");
  ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create("recogniser.onnx", { executionProviders: ["wasm"] });
  await recognise(session, new Float32Array(settings.sampling_rate / 2), settings);
  const button = element("toggle");
  let stop = null;
  const say = (text) => (element("status").textContent = text);
  const rest = async (text) => {
    await stop?.();
    stop = null;
    button.textContent = "Start listening";
    say(text);
  };
  button.onclick = async () => {
    button.disabled = true;
    try {
      if (stop) {
        await rest("Stopped.");
      } else {
        const stream = await openMicrophone();
        try {
          stop = await listen(stream, session, settings);
        } catch (error) {
          release(stream);
          throw error;
        }
        const [track] = stream.getTracks();
        track.onended = () => rest("The microphone is gone; plug it in and start again.");
        button.textContent = "Stop";
        say("Listening: say one word at a time.");
      }
    } catch (error) {
      await rest(`The microphone cannot be used: ${error.message}. Allow it for this page and start again.`);
    }
    button.disabled = false;
  };
  button.disabled = !navigator.mediaDevices;
  say(navigator.mediaDevices ? "Ready." : "Browsers give a microphone to https: or localhost only; open the page there.");
}

start().catch((error) => {
  element("status").textContent = `The recogniser cannot be loaded: ${error.message}`;
});
