"""A page of HTML as a browser and a person see it."""

from html.parser import HTMLParser

VOID = {"meta", "img", "br"}


class Reader(HTMLParser):
    """What a browser would fetch or run, the text shown, and whether every tag is closed."""

    def __init__(self, page):
        super().__init__()
        self.open, self.fetched, self.words, self.tags = [], [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in VOID and tag not in ("rect", "path"):
            self.open.append(tag)
        self.fetched += [v for k, v in attrs if k in ("src", "href", "srcset")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())
