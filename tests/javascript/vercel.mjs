// The Vercel AI SDK: the same asks in every API it speaks. Which one is the first argument.
import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { embed, embedMany, generateObject, generateText, Output, stepCountIs, streamObject, streamText, tool } from "ai";
import { z } from "zod";

import { IMAGE, parts, run } from "./running.mjs";

const HOSTS = {
  chat: (url, key) => createOpenAI({ baseURL: `${url}/v1`, apiKey: key }),
  responses: (url, key) => createOpenAI({ baseURL: `${url}/v1`, apiKey: key }),
  messages: (url, key) => createAnthropic({ baseURL: `${url}/v1`, apiKey: key }),
  gemini: (url, key) => createGoogleGenerativeAI({ baseURL: `${url}/v1beta`, apiKey: key }),
};
const MODELS = {
  chat: (host) => host.chat("gpt-4o-mini"),
  responses: (host) => host.responses("gpt-4o-mini"),
  messages: (host) => host("claude-sonnet-5-5"),
  gemini: (host) => host("gemini-3.5-flash"),
};
const EMBEDS = { chat: "text-embedding-3-small", gemini: "gemini-embedding-001" };
const lookUp = tool({
  description: "Looks something up.",
  inputSchema: z.object({ text: z.string() }),
  execute: async ({ text }) => `found: ${text}`,
});
const tools = { look_up: lookUp };
const stop = z.object({ line: z.enum(["east", "west"]), fare_cents: z.number().int(), zone: z.number().nullable() });
const trip = z.object({ place: z.string(), first: stop, others: z.array(stop), open: z.boolean() });

// What a caller of generateText reads.
const read = ({ text, content, finishReason, usage, totalUsage, toolCalls, toolResults, steps }) => ({
  text, content, finishReason, usage, totalUsage, toolCalls, toolResults, steps: steps.length,
});

function asks(model) {
  const say = (prompt, more = {}) => ({ model, prompt, maxOutputTokens: 64, ...more });
  return {
    whole: async () => read(await generateText(say("hi", { system: "Be brief." }))),
    streamed: async () => parts(streamText(say("count sim:output=30", { onError() {} })).fullStream),
    tools: async () => read(await generateText(say("look it up sim:tool=1", { tools, stopWhen: stepCountIs(2) }))),
    tools_streamed: async () => parts(streamText(say("go sim:tool=1", { tools, stopWhen: stepCountIs(2), onError() {} })).fullStream),
    structured: async () => {
      const output = Output.object({ schema: trip });
      return (await generateText(say("hi", { output }))).output;
    },
    generated: async () => {
      const { object, finishReason, usage } = await generateObject(say("hi", { schema: trip }));
      return { object, finishReason, usage };
    },
    generated_streamed: async () => {
      const stream = streamObject(say("hi", { schema: trip, onError() {} }));
      const partial = await parts(stream.fullStream);
      return { partial, object: await stream.object };
    },
    picture: async () => {
      const content = [{ type: "text", text: "What?" }, { type: "file", data: IMAGE, mediaType: "image/png" }];
      return read(await generateText({ model, maxOutputTokens: 64, messages: [{ role: "user", content }] }));
    },
    rate_limited: async () => read(await generateText(say("hi sim:status=429", { maxRetries: 0 }))),
    bad_request: async () => read(await generateText(say("hi sim:status=400", { maxRetries: 0 }))),
    server_error: async () => parts(streamText(say("hi sim:status=500", { maxRetries: 0, onError() {} })).fullStream),
  };
}

function embeddings(model) {
  return {
    embedded: async () => (({ embedding, usage }) => ({ embedding, usage }))(await embed({ model, value: "one" })),
    embedded_many: async () => {
      const { embeddings, usage } = await embedMany({ model, values: ["one", "two words"] });
      return { embeddings, usage };
    },
  };
}

// The default of its OpenAI provider: what was answered is kept there, and later steps and turns name its items instead of sending them.
function keeps(host) {
  const thinks = host("gpt-5-mini"), plain = host("gpt-4o-mini");
  const steps = { tools, stopWhen: stepCountIs(3), maxOutputTokens: 256 };
  const talk = async (models, first, more = {}) => {
    const messages = [{ role: "user", content: first }], said = [];
    for (const model of models) {
      const answer = await generateText({ model, messages, maxOutputTokens: 128, maxRetries: 0, ...more });
      said.push(read(answer));
      messages.push(...answer.response.messages, { role: "user", content: "and then? sim:output=9" });
    }
    return said;
  };
  return {
    steps: async () => read(await generateText({ model: thinks, prompt: "look it up sim:tool=1 sim:reasoning=30", ...steps })),
    steps_streamed: async () =>
      parts(streamText({ model: thinks, prompt: "look it up sim:tool=1 sim:reasoning=30", ...steps, onError() {} }).fullStream),
    turns: async () => talk([plain, plain, plain], "hi sim:output=40"),
    turns_thought: async () => talk([thinks, thinks, plain], "hi sim:output=12 sim:reasoning=50"),
    turns_searched: async () => talk([thinks, thinks], "find it sim:web_search=1", { tools: { web_search: host.tools.webSearch({}) } }),
    turns_unkept: async () => talk([thinks, thinks], "hi sim:reasoning=50", { providerOptions: { openai: { store: false } } }),
  };
}

const speaks = process.argv[2];
await run((url, key) => {
  const host = HOSTS[speaks](url, key);
  return { ...asks(MODELS[speaks](host)), ...(EMBEDS[speaks] && embeddings(host.embedding(EMBEDS[speaks]))), ...(speaks === "responses" && keeps(host)) };
});
