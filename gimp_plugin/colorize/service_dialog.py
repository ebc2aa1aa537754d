"""The dialog that looks after the colour service: what it does, its log, restart, a report to copy."""

import threading
from collections.abc import Callable

import service_report
from colorize_client import ColorizeError
from gi.repository import Gdk, Gimp, GimpUi, GLib, Gtk
from text import DOMAIN, _
from version import CLIENT

WIDTH, HEIGHT = 720, 480
RESTART, COPY, REFRESH = 1, 2, 3
SPACING = 6


def show() -> None:
    """Shows the dialog until it is closed."""
    GimpUi.init(DOMAIN)
    dialog = ServiceDialog()
    dialog.run()


class ServiceDialog:
    """The report as text, and buttons; whatever waits for the service does so beside the dialog's own thread."""

    def __init__(self) -> None:
        self._text = Gtk.TextView(editable=False, monospace=True, left_margin=SPACING, right_margin=SPACING)
        self._text.set_wrap_mode(Gtk.WrapMode.WORD_CHAR)
        self._dialog = self._make_dialog()
        self._ask(_report, _("Asking the colour service…"))

    def _make_dialog(self) -> Gtk.Dialog:
        dialog = GimpUi.Dialog(title=_("Colour Service"), role=DOMAIN)
        dialog.add_button(_("_Refresh"), REFRESH)
        dialog.add_button(_("Res_tart"), RESTART)
        dialog.add_button(_("Copy _Report"), COPY)
        dialog.add_button(_("_Close"), Gtk.ResponseType.CLOSE)
        dialog.set_default_size(WIDTH, HEIGHT)
        scrolled = Gtk.ScrolledWindow(border_width=2 * SPACING, shadow_type=Gtk.ShadowType.IN)
        scrolled.add(self._text)
        dialog.get_content_area().pack_start(scrolled, True, True, 0)
        scrolled.show_all()
        return dialog

    def run(self) -> None:
        actions = {RESTART: self._restart, COPY: self._copy, REFRESH: self._refresh}
        while True:
            action = actions.get(self._dialog.run())
            if action is None:
                break
            action()
        self._dialog.destroy()

    def _refresh(self) -> None:
        self._ask(_report, _("Asking the colour service…"))

    def _restart(self) -> None:
        self._ask(_restarted_report, _("Restarting the colour service…"))

    def _copy(self) -> None:
        buffer = self._text.get_buffer()
        text = buffer.get_text(*buffer.get_bounds(), False)
        clipboard = Gtk.Clipboard.get(Gdk.SELECTION_CLIPBOARD)
        clipboard.set_text(text, -1)
        clipboard.store()  # the text must outlive the plug-in

    def _ask(self, question: Callable[[], str], meanwhile: str) -> None:
        self._show(meanwhile)
        self._enable(False)
        threading.Thread(target=self._answer, args=(question,), daemon=True).start()

    def _answer(self, question: Callable[[], str]) -> None:
        try:
            text = question()
        except ColorizeError as error:
            text = service_report.failure(error, Gimp.version())
        GLib.idle_add(self._finish, text)

    def _finish(self, text: str) -> bool:
        self._show(text)
        self._enable(True)
        return GLib.SOURCE_REMOVE

    def _show(self, text: str) -> None:
        self._text.get_buffer().set_text(text)

    def _enable(self, enabled: bool) -> None:
        for response in (RESTART, COPY, REFRESH):
            self._dialog.set_response_sensitive(response, enabled)


def _report() -> str:
    return service_report.collect(Gimp.version())


def _restarted_report() -> str:
    """Stops the service, by force where it does not answer, starts it again, and asks it."""
    from colorize_client import stop_service

    stop_service(client=CLIENT)
    return _report()
