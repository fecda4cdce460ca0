// Runs one program with a client: told line by line where, it answers with one line of JSON of what every ask came to.
// A program is a function of a host and a key that gives an object of asks, each written as anyone would write it with that client.
import { createInterface } from "node:readline";

// Sixteen pixels by sixteen: PNG in base64.
export const IMAGE =
  "iVBORw0KGgoAAAANSUhEUgAAABAAAAAQAQAAAAA3iMLMAAAADklEQVR42mP4z8BACgIAhrcP8R06V9gAAAAASUVORK5CYII=";

export async function run(program) {
  console.log = console.info = console.warn = console.error; // what a client prints is no answer of ours
  for await (const line of createInterface({ input: process.stdin })) {
    const { url, key } = JSON.parse(line);
    const results = {};
    for (const [name, ask] of Object.entries(program(url, key))) results[name] = await resultOf(ask);
    process.stdout.write(JSON.stringify(results) + "\n");
  }
}

async function resultOf(ask) {
  try {
    return await ask();
  } catch (raised) {
    return { raised: raised.name ?? "Error", status: raised.statusCode ?? null, said: raised.message };
  }
}

// All parts of a stream, in order, without how fast they came and what HTTP said of them; the first error ends it as it would end the program.
export async function parts(stream) {
  const all = [];
  for await (const { performance, response, ...part } of stream) {
    if (part.type === "error") throw part.error;
    all.push(part);
  }
  return all;
}
