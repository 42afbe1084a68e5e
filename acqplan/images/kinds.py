"""Kinds of images, as far as the names of their files tell: ``t1 axial``, ``flair``, ``AXT2``."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePath

from acqplan.images.prepare import ImageRecord


def kinds_of(records: Sequence[ImageRecord]) -> list[str]:
    """The kind of each image: the words of its file's name that files of other subjects have too, but not all files.

    The name of a subject that isn't a file, and numbers, are no words. "" of an image whose file's name says nothing.
    """
    words = {record.source: _words(record) for record in records}
    subjects, files = defaultdict(set), defaultdict(set)
    for record in records:
        for word in words[record.source]:
            subjects[word].add(record.subject)
            files[word].add(record.source)
    telling = {word for word in subjects if len(subjects[word]) > 1 and len(files[word]) < len(words)}
    return [" ".join(word for word in words[record.source] if word in telling) for record in records]


def _words(record: ImageRecord) -> list[str]:
    name = PurePath(record.source).name
    is_subject = name == PurePath(record.subject).name  # each file one
    of_subject = set() if is_subject else set(_split(record.subject))
    return [word for word in _split(name.split(".")[0]) if word not in of_subject and not word.isdigit()]


def _split(text: str) -> list[str]:
    return [word for word in re.split(r"[^0-9A-Za-z]+", text) if word]
