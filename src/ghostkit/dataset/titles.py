"""Display names of the classes of a data set whose folders are named by ids, as ImageNet's are.

In: the folder of a data set and its class names; out: a title for each class, from the list of
synonyms that lies there. The class names stay what data, models and results are matched by.
"""

import os
from collections import Counter
from collections.abc import Sequence

from ghostkit.errors import DatasetError

LISTS = (  # file name, and what separates the id from its synonyms
    ("words.txt", "\t"),  # Tiny ImageNet's, and WordNet's own
    ("LOC_synset_mapping.txt", " "),  # ImageNet's
)


def read_titles(root: str, classes: Sequence[str]) -> tuple[str, ...] | None:
    """A title for each of `classes`, all different; None where no list in `root` names any.

    A class that the list lacks is called by its own name.

    Raises:
        DatasetError: a list is there and cannot be read.
    """
    for name, separator in LISTS:
        path = os.path.join(root, name)
        if os.path.isfile(path):
            synonyms = _synonyms(path, separator, set(classes))
            if synonyms:
                return distinct_titles([synonyms.get(each, (each,)) for each in classes], classes)
    return None


def distinct_titles(synonyms: Sequence[Sequence[str]], classes: Sequence[str]) -> tuple[str, ...]:
    """The first synonym of each class; of those that share one, all synonyms, or the id as well.

    ImageNet has two classes "crane", a bird and a machine, and two "maillot".
    """
    titles = [each[0] for each in synonyms]
    _tell_apart(titles, [", ".join(each) for each in synonyms])
    _tell_apart(titles, [f"{title} ({name})" for title, name in zip(titles, classes, strict=True)])
    return tuple(titles)


def _tell_apart(titles: list[str], longer: Sequence[str]) -> None:
    """Replace each title that stands more than once by its longer form."""
    times = Counter(titles)
    titles[:] = [longer[i] if times[title] > 1 else title for i, title in enumerate(titles)]


def _synonyms(path: str, separator: str, wanted: set[str]) -> dict[str, tuple[str, ...]]:
    """The synonyms of the `wanted` ids; other lines are of other classes, or of another purpose."""
    found: dict[str, tuple[str, ...]] = {}
    try:
        with open(path, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                name, _, rest = line.rstrip("\n").partition(separator)
                words = tuple(word.strip() for word in rest.split(",") if word.strip())
                if name in wanted and words:
                    found[name] = words
    except OSError as error:
        raise DatasetError(
            f"{path!r}, which says what people call the classes, cannot be read: {error.strerror}; "
            "give permission, or remove it"
        ) from error
    return found
