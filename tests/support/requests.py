"""Random HTTP matches and requests over a small vocabulary, so that they often meet."""

from __future__ import annotations

from hypothesis import strategies as st

from mesh.model import HeaderMatch, HttpMatch, HttpRequest, Match, PathMatch

METHODS = ("GET", "HEAD", "POST", "DELETE")
PATHS = ("/", "/api", "/api/", "/api/items", "/api/items/7", "/apix", "//api", "/admin", "/v2/items", "*")
HOSTS = ("payments.shop", "checkout.shop", "10.0.0.7")
HEADER_NAMES = ("x-env", "x-user", "cookie")
HEADER_VALUES = ("prod", "production", "test", "")
PATTERNS = ("/v[0-9]+/items", "/api/.*", ".*", "/(admin|root)")

path_matches = st.one_of(
    st.sampled_from([path for path in PATHS if path.startswith("/")]).map(lambda path: PathMatch(Match.EXACT, path)),
    st.sampled_from(("/", "/api", "/api/", "/admin")).map(lambda path: PathMatch(Match.PREFIX, path)),
    st.sampled_from(PATTERNS).map(lambda pattern: PathMatch(Match.REGEX, pattern)),
)
header_matches = st.builds(
    HeaderMatch,
    st.sampled_from(HEADER_NAMES),
    st.sampled_from((Match.EXACT, Match.PREFIX, Match.PRESENT, Match.ABSENT)),
    st.sampled_from(HEADER_VALUES),
)


def http_matches() -> st.SearchStrategy[HttpMatch]:
    """One entry of `http:`."""
    return st.builds(
        HttpMatch,
        methods=st.lists(st.sampled_from(METHODS), max_size=2, unique=True).map(tuple),
        paths=st.lists(path_matches, max_size=2).map(tuple),
        hosts=st.lists(st.sampled_from(HOSTS), max_size=1).map(tuple),
        headers=st.lists(header_matches, max_size=1).map(tuple),
    )


def http_requests() -> st.SearchStrategy[HttpRequest]:
    """A request as policy sees it: path and host normalized, header names in lower case."""
    return st.builds(
        HttpRequest,
        method=st.sampled_from((*METHODS, "get")),
        path=st.sampled_from(PATHS),
        host=st.sampled_from((*HOSTS, "elsewhere.shop")),
        headers=st.lists(st.tuples(st.sampled_from(HEADER_NAMES), st.sampled_from(HEADER_VALUES)), max_size=3).map(
            tuple
        ),
    )
