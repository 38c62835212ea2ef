// The tab "Live": the words that the server hears, in one line. Gradio calls this with the tab as `element`.
const line = element.querySelector(".spoken");

addMicrophone(element, "/v1/stream", ({ type, digit, score, reason }) => {
  if (type !== "digit" && type !== "reject") return;
  const word = document.createElement("span");
  word.className = type;
  word.textContent = digit ?? "·";
  word.title = reason ?? score?.toFixed(3) ?? "";
  line.append(word);
});
element.querySelector("[name=clear]").onclick = () => line.replaceChildren();
