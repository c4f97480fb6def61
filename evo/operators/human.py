"""What a person hands in: a patch, or the whole file, as a proposal like any other."""

from __future__ import annotations

from evo.errors import MergeConflictError, PatchError
from evo.nouns import Brief, Proposal
from evo.operators.founding import BASELINE, graft
from evo.operators.operator import Shelf, refuse, settle
from evo.patch import apply, is_diff, split_headers

UNTITLED = "By hand"


class Human:
    """Puts the text that `brief.subject` names on the variant `brief.parents[0]`.

    A patch may have a founder's header. It is tried on the parent, then on the baseline, which is
    what a person has at hand. A whole file is taken as it is.
    """

    name = "human"

    def propose(self, brief: Brief, shelf: Shelf) -> Proposal:
        if not brief.parents:
            return refuse(brief, "human takes a parent, but got none")
        try:
            title, text = shelf.submission(brief.subject)
        except KeyError:
            return refuse(brief, f"nothing was handed in under {brief.subject!r}")
        ours, text = shelf.source(brief.parents[0]), text.removeprefix("\ufeff")
        if not text.strip():
            return refuse(brief, "a patch or a whole file was expected, but it is empty")
        if not is_diff(text):
            return settle(brief, ours, text, title=title or UNTITLED, rationale="")
        headed, rationale, body = split_headers(text)
        title = title or headed or UNTITLED
        try:
            after = _patched(body, ours, shelf.source(BASELINE))
        except (MergeConflictError, PatchError) as error:
            return refuse(brief, str(error), title=title)
        return settle(brief, ours, after, title=title, rationale=rationale)


def _patched(diff: str, ours: str, baseline: str) -> str:
    try:
        return apply(ours, diff)
    except PatchError as error:
        try:
            return graft(diff, ours, baseline)
        except PatchError:
            raise error from None  # the place in the parent is what a person can look up
