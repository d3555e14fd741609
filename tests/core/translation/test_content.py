"""Blocks made fit: media, documents, foreign blocks."""

from __future__ import annotations

import pytest

from core.conversation import (
    Audio,
    Block,
    CacheMark,
    Citation,
    Document,
    FormatName,
    Image,
    Opaque,
    Refusal,
    ServerToolCall,
    ServerToolResult,
    Source,
    Text,
    ToolResult,
    Video,
)
from core.errors import Unsupported
from core.models.resolve import facts_for
from core.translation.content import (
    ATTACHED,
    ContentFitter,
    normalised_source,
    urls_to_inline,
    with_inlined,
)
from core.translation.losses import Losses
from core.translation.rules import RULES
from tests.core.translation.cases import conversation, result, said

PNG = Source("base64", "AAAA", "image/png")
PDF = Source("base64", "AAAA", "application/pdf")
URL = Source("url", "https://example.com/a.png")


def fitted(
    *content: Block | str, to: str = "converse", model: str = "claude-opus-5", client: FormatName = "messages"
) -> tuple[list[Block], list[str]]:
    losses = Losses(client)
    source = conversation(said("user", *content), format=client)
    (message,) = ContentFitter(source, RULES[to], facts_for(model), losses).fitted(source.messages)
    return message.content, [warning.path for warning in losses.dropped]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (Source("url", "data:image/JPG;base64,QUJD"), Source("base64", "QUJD", "image/jpeg")),
        (Source("url", "data:image/png;name=a;base64,QUJD"), Source("base64", "QUJD", "image/png")),
        (Source("url", "data:;base64,QUJD", "image/png"), Source("base64", "QUJD", "image/png")),
        (Source("url", "data:text/plain,abc"), Source("url", "data:text/plain,abc")),
        (URL, URL),
        (Source("base64", "x", "IMAGE/JPG; q=1"), Source("base64", "x", "image/jpeg")),
    ],
)
def test_media_types_of_sources_are_spelt_one_way(source: Source, expected: Source) -> None:
    assert normalised_source(source) == expected


def test_urls_to_inline() -> None:
    nested = ToolResult("1", [Image(URL), Document(Source("url", "https://example.com/b.pdf"))])
    data = Image(Source("url", "data:image/png;base64,QUJD"))
    youtube = Video(Source("url", "https://youtu.be/abc"))
    source = conversation(said("user", "a", Image(URL), nested, data, youtube))
    assert [found.data for found in urls_to_inline(source, RULES["converse"])] == [
        "https://example.com/a.png",
        "https://example.com/b.pdf",
    ]
    assert len(urls_to_inline(source, RULES["generate_content"])) == 2
    assert urls_to_inline(source, RULES["messages"]) == []
    assert [found.data for found in urls_to_inline(source, RULES["chat_completions"])] == ["https://example.com/b.pdf"]
    inlined = with_inlined(source, {URL.data: PNG}).messages[0].content
    assert inlined[1] == Image(PNG)
    assert isinstance(inlined[2], ToolResult)
    assert inlined[2].content == [Image(PNG), nested.content[1]]
    assert inlined[3:] == [data, youtube]
    assert source.messages[0].content[1] == Image(URL)


@pytest.mark.parametrize(
    ("block", "to", "model"),
    [
        (Image(URL), "converse", "claude-opus-5"),
        (Image(PNG), "chat_completions", "gpt-oss"),
        (Image(Source("file_id", "f")), "converse", "claude-opus-5"),
        (Image(Source("s3", "s3://b/k")), "responses", "gpt-5"),
        (Document(PDF), "converse", "llama3-1-8b"),
        (Audio(Source("base64", "A", "audio/wav")), "messages", "claude-opus-5"),
        (Audio(Source("base64", "A", "audio/wav")), "chat_completions", "gpt-5"),
        (Video(Source("base64", "A", "video/mp4")), "messages", "claude-opus-5"),
        (ToolResult("1", [Image(URL)]), "converse", "claude-opus-5"),
        (Opaque("responses", "compaction", {}, content=True), "messages", "claude-opus-5"),
    ],
)
def test_content_that_cannot_be_carried_is_refused(block: Block, to: str, model: str) -> None:
    with pytest.raises(Unsupported) as caught:
        fitted(block, to=to, model=model)
    assert caught.value.param == "messages[0]"


@pytest.mark.parametrize(
    ("block", "to", "model"),
    [
        (Image(URL), "messages", "claude-opus-5"),
        (Image(Source("s3", "s3://b/k")), "converse", "claude-opus-5"),
        (Document(PDF, name="a"), "messages", "claude-opus-5"),
        (Document(Source("text", "a", "text/plain")), "messages", "claude-opus-5"),
        (Audio(Source("base64", "A", "audio/wav")), "generate_content", "gemini-2.5-pro"),
        (Video(Source("base64", "A", "video/mp4")), "generate_content", "gemini-2.5-pro"),
        (Refusal("no"), "chat_completions", "gpt-5"),
        (Opaque("converse", "guardContent", {}, content=True), "converse", "claude-opus-5"),
        (ServerToolCall("1", "web_search", "{}", "messages", {}), "messages", "claude-opus-5"),
        (ServerToolResult("1", "web_search", "t", "messages", {}), "messages", "claude-opus-5"),
        (result(), "messages", "claude-opus-5"),
    ],
)
def test_content_that_fits_stays(block: Block, to: str, model: str) -> None:
    assert fitted(block, to=to, model=model) == ([block], [])


def test_foreign_blocks() -> None:
    content, warned = fitted(
        ServerToolCall("1", "web_search", "{}", "messages", {}),
        ServerToolResult("1", "web_search", "found", "messages", {}),
        ServerToolResult("1", "web_search", "", "messages", {}),
        Opaque("messages", "fallback", {}),
        Refusal("no"),
        Text("cited", citations=[Citation()]),
    )
    assert content == [Text("[Result of web_search]\nfound"), Text("no"), Text("cited")]
    assert len(warned) == 4
    own = Text("cited", citations=[Citation()])
    assert fitted(own, to="messages") == ([own], [])


def test_text_documents_become_text_where_there_are_none() -> None:
    text = Document(Source("text", "body", "text/plain"), name="notes", cache=CacheMark())
    blocks = Document(Source("blocks", blocks=[Text("a"), Image(PNG)]))
    assert fitted(text, blocks, to="chat_completions", model="gpt-5")[0] == [
        Text('<document name="notes">\nbody\n</document>', cache=CacheMark()),
        Text("<document>"),
        Text("a"),
        Image(PNG),
        Text("</document>"),
    ]


def test_document_names_for_converse() -> None:
    names = ["Q1 report_(final).pdf", "Q1 report (final) pdf", None, "", "a" * 300, "Document 3", None]
    content, _ = fitted(*[Document(PDF, name=name) for name in names])
    assert [block.name for block in content[:-1] if isinstance(block, Document)] == [
        "Q1 report (final) pdf",
        "Q1 report (final) pdf 2",
        "Document",
        "Document 2",
        "a" * 192,
        "Document 3",
        "Document 4",
    ]
    assert content[-1] == Text(ATTACHED)
    assert fitted(Document(PDF), "words")[0][1:] == [Text("words")]


@pytest.mark.parametrize(
    ("origin", "to", "data", "media_type", "is_text"),
    [
        ("converse", "responses", "YSxi", "text/csv", True),
        ("chat_completions", "responses", "YSxi", "text/csv", False),
        ("converse", "generate_content", "YSxi", "text/csv", False),
        ("converse", "chat_completions", "YSxi", "application/pdf", False),
        ("converse", "chat_completions", "/w==", "text/plain", False),
        ("converse", "chat_completions", "?", "text/plain", False),
    ],
)
def test_files_of_text_are_texts_for_openai(
    origin: FormatName, to: str, data: str, media_type: str, is_text: bool
) -> None:
    block = Document(Source("base64", data, media_type), name="D")
    source = conversation(said("user", block), format=origin)
    fitter = ContentFitter(source, RULES[to], facts_for("gpt-4.1"), Losses(origin))
    [message] = fitter.fitted(source.messages)
    expected = Text('<document name="D">\na,b\n</document>') if is_text else block
    assert message.content == [expected]
