import pytest

from handlers.io.http_url import Target, read_url

LONG = "a" * 70


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://h", Target("http", "h", 80, "h", "/")),
        ("https://h/", Target("https", "h", 443, "h", "/")),
        ("HTTPS://Api.Example.COM/V1?a=B", Target("https", "api.example.com", 443, "api.example.com", "/V1?a=B")),
        ("https://h:443/x", Target("https", "h", 443, "h", "/x")),
        ("http://h:443/x", Target("http", "h", 443, "h:443", "/x")),
        ("http://h:/x", Target("http", "h", 80, "h", "/x")),
        ("http://h?a=/b", Target("http", "h", 80, "h", "/?a=/b")),
        ("http://h/p#f?q", Target("http", "h", 80, "h", "/p")),
        ("http://h#f", Target("http", "h", 80, "h", "/")),
        ("http://user:p%40ss@h:81/p", Target("http", "h", 81, "h:81", "/p")),
        ("http://[::1]/p", Target("http", "::1", 80, "[::1]", "/p")),
        ("http://[FE80::1]:81/p", Target("http", "fe80::1", 81, "[fe80::1]:81", "/p")),
        ("http://h/model/a%3Ab/invoke", Target("http", "h", 80, "h", "/model/a%3Ab/invoke")),
        ("http://bücher.example/", Target("http", "xn--bcher-kva.example", 80, "xn--bcher-kva.example", "/")),
    ],
)
def test_urls_are_taken_apart(url: str, target: Target) -> None:
    assert read_url(url) == target
    assert target.key == (target.scheme, target.host, target.port, "")


@pytest.mark.parametrize(
    "url",
    ["", "h/p", "ftp://h/", "//h/p", "http:/h", "http://", "http:///p", "http://:80/", "http://h:x/", "http://h:0/",
     "http://h:65536/", "http://h:-1/", "http://h:８０/", "http://h/a b", "http://h/a\r\nb", "http://h/ä",
     "http://h\r\nx/", "http://h x/", "http://[::1", "http://[h]/", "http://[::1]x/", "http://h\\x/",
     f"http://ä{LONG}/", "http://a%2fb/"],
)  # fmt: skip
def test_what_is_no_usable_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_url(url)
