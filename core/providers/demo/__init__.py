"""The demo backend: answers every OpenAI and Anthropic format from the request alone, with no network and no key.

There is no model in it. It says what it understood, calls a tool when it is asked to, reasons when reasoning is
asked for, and refuses what a strict backend refuses. `transport.DemoTransport` is its door.

    request body -> chat_completions | messages | responses .read_ask -> Ask
    Ask -> compose.compose -> Reply
    Ask, Reply -> the same module's write_answer (JSON) or write_frames (server-sent events)
"""
