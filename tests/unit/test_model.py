from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rucio_cs3.errors import InvalidName
from rucio_cs3.model import Info, Quota, Ref, ResourceId

SPACE = ResourceId("storage", "opaque", "space")
names = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=60).filter(
    lambda name: name not in {".", ".."}
)


@pytest.mark.parametrize(
    ("given_path", "path"),
    [("/", "/"), ("/a", "/a"), ("//a//b/", "/a/b"), ("/./a/.", "/a"), ("/a b/%41#?", "/a b/%41#?")],
)
def test_absolute_path_is_cleaned(given_path, path):
    assert Ref(given_path).path == path


@pytest.mark.parametrize(("given_path", "path"), [("", ""), (".", ""), ("./a", "a"), ("/a/b", "a/b"), ("a//b/", "a/b")])
def test_path_below_an_id_is_cleaned(given_path, path):
    assert Ref(given_path, SPACE).path == path


@pytest.mark.parametrize("path", ["a", "", "./a"])
def test_relative_path_needs_an_id(path):
    with pytest.raises(InvalidName, match="absolute"):
        Ref(path)


@pytest.mark.parametrize("path", ["/..", "/a/../b", "/a/..", "/a\0b", "/\udcff", "/" + "n" * 256, "/" + "ü" * 128])
def test_bad_names_are_refused(path):
    with pytest.raises(InvalidName):
        Ref(path)
    with pytest.raises(InvalidName):
        Ref(path, SPACE)


def test_255_bytes_are_allowed():
    assert Ref("/" + "n" * 255).name == "n" * 255


@given(st.lists(names, min_size=1, max_size=4))
def test_parent_and_name_take_a_path_apart(parts):
    ref = Ref("/" + "/".join(parts))
    assert ref.parent / ref.name == ref
    assert Ref(ref.path, SPACE).parent / ref.name == Ref(ref.path, SPACE)


@given(st.text(max_size=40))
def test_nothing_leaves_the_root(text):
    root = Ref("base", SPACE)
    try:
        below = root / text
    except InvalidName:
        return
    assert below.path == "base" or below.path.startswith("base/")
    assert ".." not in below.path.split("/")


def test_the_root_is_its_own_parent():
    assert Ref("/").parent == Ref("/")
    assert Ref(id=SPACE).parent == Ref(id=SPACE)
    assert Ref("/").is_root
    assert Ref(id=SPACE).is_root
    assert not Ref("a", SPACE).is_root


def test_everything_that_names_a_resource_is_taken():
    info = Info("f", "/f", SPACE, "file", 1, 0.0, "")
    assert Ref.of("/a") == Ref("/a")
    assert Ref.of(SPACE) == Ref(id=SPACE) == Ref.of(info)
    assert Ref.of((SPACE, "a/b")) == Ref("a/b", SPACE)
    assert Ref.of(Ref("/a")) == Ref("/a")


@pytest.mark.parametrize(
    ("folder", "text", "below", "told"),
    [
        (Ref(id=SPACE), "/eos/project/", "a b%", "/eos/project/a b%"),
        (Ref(id=SPACE), "RSE:", "a/b", "RSE:a/b"),
        (Ref("d", SPACE), "RSE:", "a", "RSE:a"),
        (Ref("/"), "cs3s://h:1/", "a b%/c", "cs3s://h:1/a%20b%25/c"),
        (Ref("/eos/project"), "davs://h/dav/", "a b", "davs://h/dav/a%20b"),
    ],
)
def test_a_label_is_what_people_see(folder, text, below, told):
    ref = folder.called(text) / below
    assert str(ref) == told
    assert str(ref.parent / "c") == str(folder.called(text) / below.rpartition("/")[0] / "c")
    assert ref == folder / below


def test_what_is_not_in_the_labelled_folder_goes_by_its_path():
    assert str(Ref("a", SPACE)) == "storage$space!opaque/a"
    assert [str(above) for above in (Ref("/eos/x").called("RSE:") / "a").ancestors()] == ["RSE:", "/eos", "/"]


def test_resource_id_is_read_as_written():
    assert ResourceId.parse(str(SPACE)) == SPACE
    assert ResourceId.parse("storage$space") == ResourceId("storage", "space", "space")


@pytest.mark.parametrize("text", ["", "storage", "$space", "storage$", "/eos/a"])
def test_what_is_no_resource_id_is_refused(text):
    with pytest.raises(InvalidName):
        ResourceId.parse(text)


def test_quota():
    assert Quota(100, 30).available == 70
    assert Quota(100, 130).available == 0
    assert Quota(0, 30).available is None
