"use strict";

const answers = document.getElementById("answers");
const drop = document.getElementById("drop");

function element(tag, text, parent) {
  const made = document.createElement(tag);
  made.textContent = text;
  parent.append(made);
  return made;
}

function show(figure, record) {
  const caption = figure.querySelector("figcaption");
  if (record.status !== "answered") {
    element("p", record.reason || record.error || "no answer", caption);
    return;
  }
  if (record.accepted === false) element("p", "not sure: perhaps none of these", caption);
  const table = element("table", "", caption);
  for (const each of record.top) {
    const row = table.insertRow();
    row.insertCell().textContent = each.title || each.class_name;
    element("meter", "", row.insertCell()).value = each.probability;
    row.insertCell().textContent = `${(100 * each.probability).toFixed(1)} %`;
  }
}

async function classify(file) {
  const figure = element("figure", "", answers);
  answers.prepend(figure);
  const picture = element("img", "", figure);
  picture.alt = file.name;
  picture.src = URL.createObjectURL(file);
  const caption = element("figcaption", "", figure);
  element("p", file.name, caption).className = "path";
  const model = encodeURIComponent(document.getElementById("model").value);
  try {
    const response = await fetch(`v2/models/${model}/classify`, { method: "POST", body: file });
    show(figure, await response.json());
  } catch (error) {
    show(figure, { error: `no answer from the server: ${error.message}` });
  }
}

async function classifyAll(files) {
  for (const file of files) await classify(file);
}

document.getElementById("files").addEventListener("change", (event) => {
  classifyAll([...event.target.files]);
  event.target.value = "";
});
for (const name of ["dragover", "drop"]) {
  drop.addEventListener(name, (event) => {
    event.preventDefault();
    if (name === "drop") classifyAll([...event.dataTransfer.files]);
  });
}
