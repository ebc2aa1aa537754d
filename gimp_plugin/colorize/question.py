"""A question with two answers, for what the plug-in cannot know."""

from gi.repository import GimpUi, Gtk
from text import DOMAIN, _

SPACING = 12
WIDTH = 60  # characters


def agrees(text: str, yes: str, no: str | None = None) -> bool:
    """Whether the user chose `yes`; closing the question is `no` (Cancel by default)."""
    GimpUi.init(DOMAIN)
    dialog = GimpUi.Dialog(title=_("Colorize Photo"), role=DOMAIN)
    dialog.add_button(no or _("_Cancel"), Gtk.ResponseType.CANCEL)
    dialog.add_button(yes, Gtk.ResponseType.OK)
    dialog.set_default_response(Gtk.ResponseType.OK)
    label = Gtk.Label(label=text, xalign=0.0, wrap=True, max_width_chars=WIDTH, margin=SPACING)
    dialog.get_content_area().pack_start(label, True, True, 0)
    label.show()
    answer = dialog.run()
    dialog.destroy()
    return answer == Gtk.ResponseType.OK
