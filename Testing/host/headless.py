"""A Slicer without the application: real MRML, real .ui files and modules, widgets by PySide6.

Call `start()` before anything imports `qt`, `ctk` or a Slicer module.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import host_i18n
import slicer
import slicer.util

host_i18n.install()  # which the library imports wherever it speaks to the user
_started = False


def start(*, bare: bool = False) -> slicer.vtkMRMLScene:
    """A new scene (slicer.mrmlScene), as empty as Slicer's after startup, on every call.

    Args:
        bare: as without a main window: no layout, no views; and no colours.
    """
    global _started
    import host_app
    import host_qt
    import host_scripted
    import host_widgets

    if not _started:
        host_qt.install()
        host_scripted.install()
        host_app.install()
        host_widgets.install()
        _started = True
    return host_app.new_scene(bare)


def register_module(path: str | Path) -> object:
    """Make the module of a file known, as Slicer does when it starts: the panel is not yet made."""
    import host_scripted

    path = Path(path)
    # Slicer puts the folders of its modules on the path.
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    module = host_scripted.ScriptedModule(_imported(path.stem, path), str(path))
    setattr(slicer.modules, path.stem.lower(), module)
    return module


def load_module(path: str | Path) -> tuple[object, object]:
    """The module of a file and its panel, made as Slicer makes them."""
    module = register_module(path)
    return module.instance, module.widgetRepresentation().self()


def _imported(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    code = importlib.util.module_from_spec(spec)
    sys.modules[name] = code
    spec.loader.exec_module(code)
    return code
