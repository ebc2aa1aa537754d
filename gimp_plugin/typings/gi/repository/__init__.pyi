from . import Gdk as Gdk
from . import Gegl as Gegl
from . import Gimp as Gimp
from . import GimpUi as GimpUi
from . import GLib as GLib
from . import GObject as GObject
from . import Gtk as Gtk
