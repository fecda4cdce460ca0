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

const speaks = process.argv[2];
await run((url, key) => {
  const host = HOSTS[speaks](url, key);
  return { ...asks(MODELS[speaks](host)), ...(EMBEDS[speaks] && embeddings(host.embedding(EMBEDS[speaks]))) };
});
