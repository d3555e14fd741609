// The same request as code that people paste into a terminal or a program. A key is never written into it.

const KEY_NAME = "SKYBRIDGE_API_KEY";

/** The request of a conversation in the Chat Completions format: what `curl` and the OpenAI SDKs send. */
export function chatRequest({ model, system, turns, temperature, maxTokens, effort }) {
  const messages = turns.filter((turn) => turn.role !== "assistant" || turn.content).map(({ role, content, attachments }) => ({ role, content: contentOf(content, attachments) }));
  if (system) messages.unshift({ role: "system", content: system });
  const request = { model, messages, stream: true };
  if (temperature !== null && temperature !== undefined) request.temperature = temperature;
  if (maxTokens) request.max_tokens = maxTokens;
  if (effort) request.reasoning_effort = effort;
  return request;
}

// Whole files would drown the sample: their place is marked, with the file's name.
function contentOf(text, attachments) {
  if (!attachments?.length) return text;
  const files = attachments.map((file) => {
    const data = `data:${file.media_type};base64,<${file.name || "file"} as base64>`;
    return file.type === "image"
      ? { type: "image_url", image_url: { url: data } }
      : { type: "file", file: { filename: file.name || "document.pdf", file_data: data } };
  });
  return [{ type: "text", text }, ...files];
}

/** `request` as {language, label, text} each. `base` is the gateway's address; `keyed` whether it asks for a key. */
export function snippets(request, base, keyed) {
  return [
    { id: "curl", label: "curl", language: "bash", text: curl(request, base, keyed) },
    { id: "python", label: "Python", language: "python", text: python(request, base, keyed) },
    { id: "typescript", label: "TypeScript", language: "typescript", text: typescript(request, base, keyed) },
  ];
}

function curl(request, base, keyed) {
  const key = keyed ? ` \\\n  -H "authorization: Bearer $${KEY_NAME}"` : "";
  const body = JSON.stringify(request, null, 2).replaceAll("'", "'\\''");
  return `curl -N ${base}/v1/chat/completions${key} \\\n  -H "content-type: application/json" \\\n  -d '${body}'`;
}

function python(request, base, keyed) {
  const { stream, ...rest } = request;
  const knobs = Object.entries(rest).map(([name, value]) => `    ${name}=${pythonValue(value, 1)},\n`).join("");
  const key = keyed ? `os.environ["${KEY_NAME}"]` : '"any"';
  return `${keyed ? "import os\n\n" : ""}from openai import OpenAI\n\nclient = OpenAI(base_url="${base}/v1", api_key=${key})\n` +
    `stream = client.chat.completions.create(\n${knobs}    stream=True,\n)\nfor chunk in stream:\n` +
    '    if chunk.choices:\n        print(chunk.choices[0].delta.content or "", end="", flush=True)';
}

/** JSON as a Python literal. */
export function pythonValue(value, depth) {
  const pad = "    ".repeat(depth + 1);
  const end = "    ".repeat(depth);
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[\n${value.map((item) => pad + pythonValue(item, depth + 1)).join(",\n")},\n${end}]`;
  if (typeof value === "object") return `{${Object.entries(value).map(([name, item]) => `${JSON.stringify(name)}: ${pythonValue(item, depth)}`).join(", ")}}`;
  return JSON.stringify(value);
}

function typescript(request, base, keyed) {
  const body = JSON.stringify(request, null, 2).replace(/^( *)"(\w+)":/gm, "$1$2:");
  const key = keyed ? `process.env.${KEY_NAME}` : '"any"';
  return `import OpenAI from "openai";\n\nconst client = new OpenAI({ baseURL: "${base}/v1", apiKey: ${key} });\n` +
    `const stream = await client.chat.completions.create(${body});\nfor await (const chunk of stream) {\n` +
    '  process.stdout.write(chunk.choices[0]?.delta?.content ?? "");\n}';
}
