"""What the plug-in says when it will not do what was asked."""

from gi.repository import Gimp


class Refusal(Exception):
    """A sentence for the user: which layer or image, what is wrong, what to do.

    `status` tells a calling script whether its arguments were at fault or the work failed.
    """

    def __init__(self, sentence: str, status: Gimp.PDBStatusType = Gimp.PDBStatusType.EXECUTION_ERROR) -> None:
        super().__init__(sentence)
        self.status = status


def wrong_call(sentence: str) -> Refusal:
    """The refusal of arguments that this procedure cannot work on."""
    return Refusal(sentence, Gimp.PDBStatusType.CALLING_ERROR)
