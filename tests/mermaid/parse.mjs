// Reads a list of diagrams from standard input, and prints what is wrong with each.
import { JSDOM } from "jsdom";

const { window } = new JSDOM("");
Object.assign(globalThis, { window, document: window.document });
const { default: mermaid } = await import("mermaid");

let text = "";
for await (const part of process.stdin) text += part;
const faults = [];
for (const diagram of JSON.parse(text)) {
  try {
    await mermaid.parse(diagram);
    faults.push("");
  } catch (error) {
    faults.push(String(error));
  }
}
console.log(JSON.stringify(faults));
