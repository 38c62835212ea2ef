// The tab "Record": the server's guided recording, and its answers. Gradio calls this with the tab as `element`.
const find = (selector) => element.querySelector(selector);
const player = find("audio");
const again = find("[name=again]");
const skip = find("[name=skip]");
const { say, send } = addMicrophone(element, "/v1/record", hear, { toggled, isDeaf });
let wasPlaying = false;

function ask(text) {
  const [, progress, asked] = /^(?:\[(.*?)\] )?(.*)$/.exec(text);
  find(".progress").textContent = progress || "\u00a0";
  find(".asked").textContent = asked;
}

/** An answer of the server: a WAV file, or an event. */
function hear(answer) {
  if (answer instanceof ArrayBuffer) {
    URL.revokeObjectURL(player.src);
    player.src = URL.createObjectURL(new Blob([answer], { type: "audio/wav" }));
  }
  if (answer.type === "asked") ask(answer.text);
  if (answer.type === "taken" && answer.problem) say(`once more: ${answer.problem}`, true);
  if (answer.type === "taken" && !answer.problem)
    say(`kept ${answer.name}, ${answer.seconds.toFixed(2)} s, peak ${answer.peak_dbfs.toFixed(0)} dBFS`);
}

function toggled(isOn) {
  again.disabled = skip.disabled = !isOn;
  wasPlaying = false;
  if (!isOn) ask("");
}

/** What the loudspeaker says is no take. */
function isDeaf() {
  const isPlaying = !player.paused && !player.ended;
  if (wasPlaying && !isPlaying) send("p");
  wasPlaying = isPlaying;
  return isPlaying;
}

again.onclick = () => {
  player.pause();
  player.removeAttribute("src");
  say("");
  send("a");
};
skip.onclick = () => {
  say("");
  send("s");
};
