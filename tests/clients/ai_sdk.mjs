// A turn with Vercel's AI SDK: node ai_sdk.mjs PROVIDER URL KEY. Prints what it read as one line of JSON:
// a streamed text, a tool's call with its result taken back, and an object.
import { createAmazonBedrock } from '@ai-sdk/amazon-bedrock';
import { createAnthropic } from '@ai-sdk/anthropic';
import { createGoogleGenerativeAI } from '@ai-sdk/google';
import { createOpenAI } from '@ai-sdk/openai';
import { generateText, Output, stepCountIs, streamText, tool } from 'ai';
import { z } from 'zod';

const [provider, url, apiKey] = process.argv.slice(2);
const models = {
  openai: () => createOpenAI({ baseURL: `${url}/v1`, apiKey })('m'),
  'openai-chat': () => createOpenAI({ baseURL: `${url}/v1`, apiKey }).chat('m'),
  anthropic: () => createAnthropic({ baseURL: `${url}/v1`, apiKey })('m'),
  google: () => createGoogleGenerativeAI({ baseURL: `${url}/v1beta`, apiKey })('m'),
  'amazon-bedrock': () => createAmazonBedrock({ region: 'us-east-1', baseURL: url, apiKey })('m'),
};
const model = models[provider]();
const weather = tool({
  description: 'The weather in a city',
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `4 degrees in ${city}`,
});

const streamed = streamText({ model, prompt: 'Say hello.', maxRetries: 0 });
const chunks = [];
for await (const chunk of streamed.textStream) chunks.push(chunk);

const called = streamText({
  model, tools: { weather }, stopWhen: stepCountIs(3), prompt: 'Use the weather tool for Bern.', maxRetries: 0,
});
await called.consumeStream();
const steps = await called.steps;

const object = await generateText({
  model, prompt: 'A city as JSON.', maxRetries: 0,
  output: Output.object({ schema: z.object({ city: z.string(), people: z.number() }) }),
});

console.log(JSON.stringify({
  text: chunks.join(''),
  chunks: chunks.length,
  usage: await streamed.usage,
  finish: await streamed.finishReason,
  calls: steps.flatMap((step) => step.toolCalls.map(({ toolName, input }) => ({ toolName, input }))),
  results: steps.flatMap((step) => step.toolResults.map(({ output }) => output)),
  ending: await called.text,
  object: object.output,
}));
