"""What a batch run leaves behind as JSON: one manifest for each shard, and one summary."""

from __future__ import annotations

from dataclasses import dataclass

SCHEMA_VERSION = 2
SUMMARY_FILE = "summary.json"


@dataclass(frozen=True)
class Manifest:
    """A finished shard: the file that holds its records, and what is in it.

    Attributes
    ----------
    id
        SHA-256, 16 digits, of all that decides the records: model, options, and every image's URI and identity.
    file, sha256, bytes
        The file with its records, by its name in shards/.
    images, failed, errors
        Rows; rows with an error; these by kind.
    retried
        Images that ended a process or its time, and were given a process of their own.
    started, seconds
        Unix time; duration of the shard.
    """

    schema_version: int
    id: str
    file: str
    sha256: str
    bytes: int
    images: int
    failed: int
    errors: dict[str, int]
    retried: int
    started: float
    seconds: float
    worker: str


@dataclass(frozen=True)
class Summary:
    """The whole archive as it lies there after a run; `seconds` and `new_images` are those of the last run."""

    schema_version: int
    source: str
    model: str
    model_sha256: str
    workers: int
    shards: int
    images: int
    failed: int
    errors: dict[str, int]
    retried: int
    new_images: int
    seconds: float
