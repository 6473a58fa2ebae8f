"""Formats, by their RFCs."""

import pytest

from local_retab.errors import OutputValidationError
from local_retab.schema.validation import validate

VALID = {
    "date": ["2024-02-29"],
    "date-time": ["2024-02-29T23:59:60Z", "1985-04-12t23:20:50.52z"],
    "duration": ["P1DT2H", "P4W"],
    "email": ["joe@example.com", "~te~st@example.com", '"joe bloggs"@example.com', "j@[127.0.0.1]", "j@[IPv6:::1]"],
    "hostname": ["www.example.com", "xn--9n2bp8q.xn--9t4b11yi5a", "a-b"],
    "idn-email": ["실례@실례.테스트", "joe@example.com"],
    "idn-hostname": ["실례.테스트", "host-name"],
    "ipv4": ["192.168.0.1"],
    "ipv6": ["::1", "1::d6:192.168.0.1"],
    "iri": ["http://ƒøø.ßår/?∂éœ=πîx#πîüx", "http://[2001:db8::7]/"],
    "iri-reference": ["/âππ", "#ƒrägmênt", ""],
    "json-pointer": ["", "/a/~0~1"],
    "regex": [r"([abc])+\s+$", "^(?!x)"],
    "relative-json-pointer": ["0", "120/foo", "0#"],
    "time": ["23:59:60Z", "01:29:60+01:30", "08:30:06.283185-08:00"],
    "uri": [
        "http://foo.bar/?baz=qux#quux",
        "http://-.~_!$&'()*+,;=:%40:80%2f::::::@example.com",
        "ldap://[2001:db8::7]/c=GB?objectClass?one",
        "urn:oasis:names:specification:docbook:dtd:xml:4.1.2",
        "tel:+1-816-555-1212",
    ],
    "uri-reference": ["//foo.bar/", "/abc", "abc", "#fragment", ""],
    "uri-template": ["dictionary/{term:1}/{+term*}{?a,b.c}", "a%41b", ""],
    "uuid": ["2eb8aa08-aa98-11ea-b4aa-73b441d16380"],
}
INVALID = {
    "date": ["2023-02-29", "20240229", "2024-W09-4"],
    "date-time": ["2023-02-29T00:00:00Z", "1998-12-31T23:58:60Z", "2024-01-01 00:00:00Z", "2024-01-01T00:00:00"],
    "duration": ["P", "PT", "1D", "P1W2D"],
    "email": ["2962", ".t@example.com", "t.@example.com", "t..t@example.com", "j@a=b.com", "j@[127.0.0.300]", "j@"],
    "hostname": ["-a", "a-", "a..b", "xn--X", "xn--l-fda", "XN--aa---o47jg78q", "a" * 64, ""],
    "idn-email": ["2962", "@a"],
    "idn-hostname": ["〮실례.테스트", "-> x", ""],
    "ipv4": ["256.0.0.1", "1.2.3"],
    "ipv6": ["12345::", "::1%eth0", "1:1:1"],
    "iri": ["/abc", "âππ", "http://a b/"],
    "iri-reference": [r"\\w\f", "#a\\b"],
    "json-pointer": ["a", "/~2"],
    "regex": ["^(abc]", "(?i)a", r"\Z"],
    "relative-json-pointer": ["", "01", "-1", "0##", "/a", "1\n", "\u0661"],
    "time": ["22:59:60Z", "23:59:60+01:00", "24:00:00Z", "12:00:00"],
    "uri": [
        "//foo.bar/",
        "abc",
        "http:// a.com",
        ":// a",
        "bar,baz:foo",
        "https://[@a/b",
        "http://a/%zz",
        "http://x:8a/",
    ],
    "uri-reference": [r"\\w\f", "#a\\b", "a:b c"],
    "uri-template": ["{", "{}", "{a,,b}", "{v:0}", "{v:10000}", "a b", "{a..b}", "{var=def}", "a}b"],
    "uuid": ["2eb8aa08aa9811eab4aa73b441d16380", "2eb8aa08-aa98-11ea-b4aa-73b441d1638"],
}


def accepts(name: str, text: object) -> bool:
    try:
        validate(text, {"format": name})
    except OutputValidationError:
        return False
    return True


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in VALID.items() for text in texts])
def test_valid(name: str, text: str) -> None:
    assert accepts(name, text)


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in INVALID.items() for text in texts])
def test_invalid(name: str, text: str) -> None:
    assert not accepts(name, text)


def test_formats_are_about_strings_and_unknown_ones_about_nothing() -> None:
    assert all(accepts(name, 12) for name in VALID)
    assert accepts("shoe-size", "x")
