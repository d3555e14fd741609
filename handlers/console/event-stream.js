// Server-sent events over fetch. https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream

/** Yields {event, data} for each event of a body; `data` is parsed as JSON. Comments and broken events are passed over. */
export async function* readEvents(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const blocks = (rest + value).replaceAll("\r\n", "\n").split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) {
        const found = readBlock(block);
        if (found) yield found;
      }
    }
  } finally {
    // Leaving early closes the connection, and the gateway stops the backend.
    await reader.cancel().catch(() => {});
  }
}

/** One block of lines as an event; null where it holds no data. */
export function readBlock(block) {
  let event = "message";
  const data = [];
  for (const line of block.split("\n")) {
    if (line.startsWith("event:")) event = line.slice(6).trim();
    else if (line.startsWith("data:")) data.push(line.slice(line[5] === " " ? 6 : 5));
  }
  if (!data.length) return null;
  try {
    return { event, data: JSON.parse(data.join("\n")) };
  } catch {
    return null;
  }
}
