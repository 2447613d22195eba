"""Files on this machine: atomic writes, listings, fingerprints, and what cannot be reached. (S3: tests/ray.)"""

import errno
import gzip
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from crossrank import storage
from crossrank.errors import InputError, OutputError, StorageError
from crossrank.storage import atomic_file, files
from crossrank.storage.content_hash import fingerprint


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """``b.txt`` of 2 bytes, ``a.jsonl`` of 3, and ``deep/c.txt`` of 4."""
    (tmp_path / "data" / "deep").mkdir(parents=True)
    for name, content in (("b.txt", "bb"), ("a.jsonl", "aaa"), ("deep/c.txt", "cccc")):
        (tmp_path / "data" / name).write_text(content)
    return tmp_path / "data"


def test_a_file_is_written_whole_with_the_folders_it_needs(tmp_path: Path) -> None:
    uri = str(tmp_path / "new" / "deep" / "file")
    storage.write_bytes(uri, b"content")
    assert storage.read_bytes(uri) == b"content"
    assert os.listdir(tmp_path / "new" / "deep") == ["file"]


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, OSError])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path, kind: type[BaseException]) -> None:
    uri = str(tmp_path / "file")
    storage.write_bytes(uri, b"old")

    def fail() -> None:
        with storage.writing(uri) as stream:
            stream.write(b"half of the n")
            raise kind

    with pytest.raises((kind, OutputError)):
        fail()
    assert storage.read_bytes(uri) == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_reader_does_not_see_a_file_before_it_is_whole(tmp_path: Path) -> None:
    uri = str(tmp_path / "part.parquet")
    with storage.writing(uri) as stream:
        stream.write(b"half")
        assert not storage.exists(uri)
        [unfinished] = os.listdir(tmp_path)
        assert unfinished.startswith("_"), "Parquet readers pass over it, should a kill leave it"
    assert storage.exists(uri)


def test_what_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write .*/file/below: (Not a directory|File exists)"):
        storage.write_bytes(str(tmp_path / "file" / "below"), b"")
    with pytest.raises(OutputError, match=r"cannot write .*: it is a folder, and a file is wanted"):
        storage.write_bytes(str(tmp_path), b"")
    assert sorted(os.listdir(tmp_path)) == ["file"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device that is always full is Linux's")
def test_a_full_disk_is_said_of_the_file_that_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(atomic_file.NamedFile):
        """Writes to a disk that is full, under the name of the file."""

        def __init__(self, path: Path, mode: str) -> None:
            path.touch()
            full = os.open("/dev/full", os.O_WRONLY)
            super().__init__(path, mode)
            os.dup2(full, self.fileno())
            os.close(full)

    monkeypatch.setattr(atomic_file, "NamedFile", Full)
    target = str(tmp_path / "run.trec")
    for content in (b"short", b"longer than what is buffered" * 100_000):
        with pytest.raises(OutputError, match=rf"^cannot write {target}: No space left on device$"):
            storage.write_bytes(target, content)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(errno.ENOENT, "No such file or directory", "/elsewhere/corpus.jsonl"),
        PermissionError(errno.EACCES, "Permission denied", "/elsewhere/cache"),
        OSError(errno.ENOSPC, "No space left on device"),
    ],
)
def test_what_fails_while_a_file_is_written_is_not_blamed_on_it(tmp_path: Path, error: OSError) -> None:
    def fail() -> None:
        with storage.writing(str(tmp_path / "rejected.parquet")) as stream:
            stream.write(b"half of it")
            raise error

    with pytest.raises(OSError, match=r"(elsewhere/|No space left)") as raised:
        fail()
    assert raised.value is error, "and not that rejected.parquet cannot be written"
    assert os.listdir(tmp_path) == []


def test_what_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere does not exist; check the path"):
        storage.read_bytes(str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="is a folder, and a file is wanted; name the file"):
        storage.read_bytes(str(tmp_path))
    (tmp_path / "short.gz").write_bytes(gzip.compress(b"content" * 100)[:20])
    with (
        pytest.raises(InputError, match=r"cannot read .*short\.gz"),
        storage.open_input(str(tmp_path / "short.gz")) as stream,
    ):
        stream.read()


def test_a_file_that_may_not_be_written_is_said_with_a_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Whoever runs the tests may be root, to whom nothing is forbidden.
    def forbidden(path: Path, _mode: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(atomic_file, "NamedFile", forbidden)
    target = str(tmp_path / "run.trec")
    with pytest.raises(OutputError, match=rf"^cannot write {target}: permission denied; ask its owner, or name an"):
        storage.check_writable(target)


@pytest.mark.parametrize(
    "uri", ["gs://bucket/key", "hdfs://host/path", "https://host/file", "file:///tmp/x", "S3://b/k"]
)
def test_another_scheme_is_refused_and_is_no_local_path(uri: str) -> None:
    assert storage.absolute(uri) == uri, "not a folder called gs: in the current one"
    scheme = uri.split("://")[0]
    for use in (storage.exists, storage.read_bytes, fingerprint, storage.list_files, storage.delete):
        with pytest.raises(StorageError, match=f"has the scheme {scheme}://; use a local path or s3://bucket/key"):
            use(uri)
    with pytest.raises(StorageError, match=f"has the scheme {scheme}://"):
        storage.write_bytes(storage.join(uri, "name"), b"")


def test_a_relative_path_in_a_submitted_job_is_refused_unless_it_came_along(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    assert storage.absolute("out") == str(folder / "out")
    monkeypatch.setenv(files.SUBMITTED, "{}")
    for use in (storage.absolute, storage.exists, storage.read_bytes, storage.list_files, storage.check_writable):
        with pytest.raises(
            StorageError, match=r"^out.* is a relative path, and a submitted job .* name s3://, or a full"
        ):
            use("out")
    assert storage.read_bytes("b.txt") == b"bb"
    with pytest.raises(StorageError, match=r"^b\.txt is a relative path"):
        storage.write_bytes("b.txt", b"would go with Ray's folder")
    for uri in (str(folder / "out"), "s3://bucket/out", "~/out"):
        assert storage.absolute(uri).endswith("/out")
    assert sorted(os.listdir(folder)) == ["a.jsonl", "b.txt", "deep"]


def test_a_path_that_is_not_on_the_cluster_is_said_to_a_submitted_job(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(files.SUBMITTED, "{}")
    with pytest.raises(InputError, match="does not exist on the cluster, where a submitted job runs and data is not"):
        storage.read_bytes(str(folder / "nowhere"))


@pytest.mark.parametrize("uri", ["s3://", "s3:///"])
def test_an_s3_uri_without_a_bucket_is_refused(uri: str) -> None:
    with pytest.raises(StorageError, match="names no bucket; write s3://bucket/key"):
        storage.exists(uri)


@pytest.mark.parametrize("keys", ["AKIASAMPLE:the/secret@", "AKIASAMPLE:thesecret@", "AKIASAMPLE@"])
def test_a_uri_with_a_key_in_it_is_refused_and_not_repeated(keys: str) -> None:
    uses: list[Callable[[str], object]] = [storage.exists, storage.list_files, storage.read_bytes, storage.delete]
    for use in uses:
        with pytest.raises(StorageError, match=r"has a key in it, which .* give keys as AWS_ACCESS_KEY_ID") as told:
            use(f"s3://{keys}bucket/file")
        assert "AKIASAMPLE" not in str(told.value)
        assert "secret@" not in str(told.value)


def test_the_root_of_a_disk_has_files() -> None:
    names = {entry.name for entry in os.scandir("/") if entry.is_file()}
    assert {file.uri for file in storage.list_files("/")} == {f"/{name}" for name in names}
    assert storage.is_folder("/")


def test_a_password_in_a_url_that_is_refused_is_not_repeated() -> None:
    with pytest.raises(StorageError, match=r"^http://host/x has the scheme http://"):
        storage.exists("http://me:secret@host/x")


@pytest.mark.parametrize("uri", ["s3://bucket/user@host/a:b", "name=s3://bucket/a@b", "http://me:word@host/"])
def test_a_key_of_s3_may_have_any_sign_after_its_bucket(uri: str) -> None:
    storage.refuse_keys(uri)


def test_a_local_path_means_the_same_everywhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/someone")
    assert storage.absolute("out/") == str(tmp_path / "out")
    assert storage.absolute("~/out") == "/home/someone/out"
    assert storage.absolute("s3://bucket/out") == "s3://bucket/out"
    assert storage.join("s3://bucket/out/", "a", "b") == "s3://bucket/out/a/b"


def test_a_packed_file_is_unpacked_unless_told_otherwise(tmp_path: Path) -> None:
    packed = gzip.compress("문서".encode())
    (tmp_path / "file.gz").write_bytes(packed)
    with storage.open_input(str(tmp_path / "file.gz")) as stream:
        assert stream.read().decode() == "문서"
    with storage.open_input(str(tmp_path / "file.gz"), decompress=False) as stream:
        assert stream.read() == packed


def test_a_listing_is_sorted_and_has_sizes(folder: Path) -> None:
    def listed(**how: object) -> list[tuple[str, int]]:
        files = storage.list_files(str(folder), **how)  # type: ignore[arg-type]
        return [(os.path.relpath(file.uri, folder), file.num_bytes) for file in files]

    assert listed() == [("a.jsonl", 3), ("b.txt", 2)]
    assert listed(recursive=True) == [("a.jsonl", 3), ("b.txt", 2), ("deep/c.txt", 4)]
    assert listed(suffix=".txt") == [("b.txt", 2)]


def test_a_file_is_its_own_listing_and_nothing_has_an_empty_one(folder: Path) -> None:
    assert storage.list_files(str(folder / "b.txt")) == [storage.StoredFile(str(folder / "b.txt"), 2)]
    assert storage.list_files(str(folder / "nowhere")) == []


def test_a_folder_that_goes_away_while_it_is_listed_has_an_empty_listing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at = files._info

    def gone_after(uri: str) -> object:
        found = looked_at(uri)
        shutil.rmtree(folder)
        return found

    monkeypatch.setattr(files, "_info", gone_after)
    assert storage.list_files(str(folder), recursive=True) == []


def test_what_there_is(folder: Path) -> None:
    assert [storage.exists(str(folder / name)) for name in ("", "b.txt", "nowhere")] == [True, True, False]
    assert [storage.is_folder(str(folder / name)) for name in ("", "b.txt", "nowhere")] == [True, False, False]


def test_deleting_a_file_a_folder_and_nothing(folder: Path) -> None:
    storage.delete(str(folder / "b.txt"))
    storage.delete(str(folder / "deep") + "/")
    storage.delete(str(folder / "nowhere"))
    assert os.listdir(folder) == ["a.jsonl"]


def test_a_fingerprint_is_of_content_and_not_of_place_or_time(folder: Path, tmp_path: Path) -> None:
    before = fingerprint(str(folder))
    os.utime(folder / "b.txt", (0, 0))
    moved = folder.rename(tmp_path / "elsewhere")
    assert fingerprint(str(moved)) == fingerprint(str(moved) + "/") == before
    one = fingerprint(str(moved / "b.txt"))
    (moved / "b.txt").rename(tmp_path / "other name")
    assert fingerprint(str(tmp_path / "other name")) == one


def test_a_fingerprint_changes_with_content_and_with_names_in_a_folder(folder: Path) -> None:
    seen = {fingerprint(str(folder))}
    (folder / "deep" / "c.txt").write_text("cccd")
    seen.add(fingerprint(str(folder)))
    (folder / "b.txt").rename(folder / "b2.txt")
    seen.add(fingerprint(str(folder)))
    (folder / "empty").write_text("")
    seen.add(fingerprint(str(folder)))
    assert len(seen) == 4


def test_a_fingerprint_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist; check the path"):
        fingerprint(str(tmp_path / "nowhere"))


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSRANK_CACHE", "/somewhere")
    assert storage.cache_folder() == Path("/somewhere")
    monkeypatch.delenv("CROSSRANK_CACHE")
    monkeypatch.setenv("HOME", "/home/someone")
    assert storage.cache_folder() == Path("/home/someone/.cache/crossrank")


def test_an_output_that_is_an_input_is_refused_also_through_a_link(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text("{}")
    link = tmp_path / "link.jsonl"
    link.symlink_to(corpus)
    for output in (corpus, link, tmp_path / "." / "corpus.jsonl"):
        with pytest.raises(OutputError, match=r"--run .* would overwrite --corpus .*; name another file"):
            storage.refuse_overwriting("--run", str(output), queries=None, corpus=str(corpus))
    storage.refuse_overwriting("--run", str(tmp_path / "other"), corpus=str(corpus))
    storage.refuse_overwriting("--run", None, corpus=str(corpus))


def test_a_file_behind_a_link_is_written_and_the_link_stays(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    link.symlink_to(target)
    storage.write_bytes(str(link), b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


def test_a_pipe_is_refused_and_stays_one(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OutputError, match="is a device or a pipe"):
        storage.write_bytes(str(pipe), b"x")
    assert pipe.is_fifo()


@pytest.mark.parametrize(
    "use",
    [
        storage.absolute,
        lambda uri: storage.join(uri, "_manifest.json"),  # or it would lie in the root of the disk
        storage.exists,
        storage.read_bytes,
        storage.delete,
        storage.resolved,
        storage.check_writable,
        lambda uri: storage.write_bytes(uri, b""),
        storage.list_files,
    ],
)
def test_an_empty_path_is_refused_and_is_not_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, use: Callable[[str], object]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.txt").write_text("")
    with pytest.raises(StorageError, match=r"a path is empty, where a file or a folder is wanted; name one"):
        use("")
    with pytest.raises(StorageError, match=r"'a\\x00b' has a NUL character, which no path can have; name another"):
        use("a\0b")
    assert os.listdir(tmp_path) == ["mine.txt"]


@pytest.mark.parametrize("read", [storage.read_bytes, lambda uri: storage.read_from(uri, lambda file: file.read())])
def test_a_pipe_is_refused_and_is_not_waited_for(tmp_path: Path, read: Callable[[str], object]) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    said = r"pipe\.jsonl is a pipe or a device, and a file is wanted, which can be read twice; write what it gives to a"
    with pytest.raises(InputError, match=said):
        read(str(tmp_path / "pipe.jsonl"))


def test_a_file_that_gzip_did_not_end_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(os.urandom(1000))[:-100])
    with pytest.raises(InputError, match=r"it ends before what gzip packed does; fetch or write it again"):
        _unpacked(str(tmp_path / "a.jsonl.gz"))


def _unpacked(uri: str) -> bytes:
    with storage.open_input(uri) as stream:
        return stream.read()


@pytest.mark.parametrize("write", [storage.check_writable, lambda uri: storage.write_bytes(uri, b"x")])
def test_a_folder_is_refused_as_a_file_before_anything_is_written(
    tmp_path: Path, write: Callable[[str], object]
) -> None:
    with pytest.raises(OutputError, match=r"it is a folder, and a file is wanted; name a file in it"):
        write(str(tmp_path))
    assert os.listdir(tmp_path) == []


def test_an_argument_that_would_be_overwritten_is_not_called_a_flag(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"OUT a would overwrite IN a; name another file"):
        storage.refuse_overwriting("OUT", "a", IN="a")
    with pytest.raises(OutputError, match=r"--output a would overwrite --input a; name another file"):
        storage.refuse_overwriting("--output", "a", input="a")


def test_a_name_that_is_no_utf_8_is_one_sentence_alone_and_in_a_folder(tmp_path: Path) -> None:
    name = os.fsdecode(b"a\xff.jsonl")
    (tmp_path / name).write_text("")
    for look in (lambda: storage.read_bytes(str(tmp_path / name)), lambda: storage.list_files(str(tmp_path))):
        with pytest.raises(InputError, match=r"is, or holds, a name that is no UTF-8; rename it"):
            look()
