"""The Slicer module: what joins SliceInterpLib.scene with Slicer.

Slicer imports this file whenever it starts, so what takes time is imported where it is needed.
"""

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import slicer
import vtk
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

try:
    import SliceInterpLib  # noqa: F401
except ModuleNotFoundError:
    # A source checkout, where the library lies beside the module's folder.
    sys.path.append(str(Path(__file__).resolve().parents[1]))

from SliceInterpLib.scene import registration, slots

if TYPE_CHECKING:
    from SliceInterpLib.scene.panel import Panel


class SliceInterp(ScriptedLoadableModule):
    """What Slicer shows of the module before it is opened."""

    def __init__(self, parent: Any) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("SliceInterp")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Filtering")]
        self.parent.contributors = ["The SliceInterp contributors"]
        self.parent.helpText = _("""Predicts the slices between those of a head CT, by a neural
network or classically. HU in, HU out; acquired slices stay bit for bit. <b>For research use only: a
synthetic slice is a prediction.</b> The network's weights are for research and non-commercial use
only. <a href="https://github.com/OWNER/SlicerSliceInterp">More</a>""")
        self.parent.acknowledgementText = _("""The idea follows M. Cortés Ferre, M. A.
Gutiérrez-Naranjo and M. Balcerzyk, Deep Slice Interpolation for Reducing Through-Plane Anisotropy
and Noise in Head CT, arXiv 2606.09953 (2026). No code or weights are theirs.""")
        slicer.app.connect("startupCompleted()", slots.reporting(registration.register))


class SliceInterpWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """Joins the panel with Slicer: scene, parameter node and module events."""

    def __init__(self, parent: Any = None) -> None:
        # First, since this is what slicer.util.getModuleLogic gives to scripts.
        self.logic = SliceInterpLogic()
        self.panel: Panel | None = None
        self._parameterNode: Any = None
        self._connection: int | None = None
        VTKObservationMixin.__init__(self)
        ScriptedLoadableModuleWidget.__init__(self, parent)

    @slots.reporting
    def setup(self) -> None:
        """Build the panel when the module is first opened, or its logic asked for."""
        from SliceInterpLib.scene.panel import Panel

        ScriptedLoadableModuleWidget.setup(self)
        widget = slicer.util.loadUI(self.resourcePath("UI/SliceInterp.ui"))
        self.layout.addWidget(widget)
        self.ui = slicer.util.childWidgetVariables(widget)
        widget.setMRMLScene(slicer.mrmlScene)
        self.panel = Panel(self.ui, self.resourcePath("requirements.txt"))
        self.logic.tell = self.panel.tell_replaced
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self.onSceneReady)
        self.addObserver(scene, scene.EndImportEvent, self.onSceneReady)
        self.addObserver(scene, scene.NodeRemovedEvent, self.onNodeRemoved)
        self.onSceneReady()

    def cleanup(self) -> None:
        """End everything when the application closes or the module is reloaded."""
        if self.panel:
            self.panel.close()
        self.removeObservers()

    @slots.reporting
    def enter(self) -> None:
        """Take up the scene's parameters whenever the module is opened."""
        if self.panel:
            self.setParameterNode(self.logic.getParameterNode())

    @slots.reporting
    def exit(self) -> None:
        """Give the views back, and do not react to changes while another module is open."""
        if self.panel:
            self.panel.compare.leave()
        self.setParameterNode(None)

    @slots.reporting
    def onSceneStartClose(self, caller: Any, event: Any) -> None:  # noqa: N802
        """A run in progress has lost its volume."""
        if self.panel:
            self.panel.scene_closing()
        self.setParameterNode(None)

    @slots.reporting
    def onSceneReady(self, caller: Any = None, event: Any = None) -> None:  # noqa: N802
        """Begin anew in a scene that was emptied or read, if the module is open."""
        if self.parent.isEntered:
            self.enter()

    @slots.reporting
    @vtk.calldata_type(vtk.VTK_OBJECT)
    def onNodeRemoved(self, caller: Any, event: Any, node: Any) -> None:  # noqa: N802
        """A deleted volume ends the run on it."""
        if self.panel:
            self.panel.node_removed(node)

    @slots.reporting
    def onParametersModified(self, caller: Any, event: Any) -> None:  # noqa: N802
        """The panel says what would be done now."""
        if self.panel:
            self.panel.refresh()

    def setParameterNode(self, node: Any) -> None:  # noqa: N802
        """Bind the panel's widgets to the parameter node, or to none."""
        if self.panel is None:
            return
        modified = vtk.vtkCommand.ModifiedEvent
        if self._parameterNode:
            self._parameterNode.disconnectGui(self._connection)
            self.removeObserver(self._parameterNode, modified, self.onParametersModified)
        self._parameterNode = None
        self.panel.set_parameters(None)
        if node:
            self._mend_from_now_on(node.parameterNode)
            # connectGui finds the widgets itself, but gives no tag to disconnect by (Slicer #7547).
            named = {one.property("SlicerParameterName"): one for one in vars(self.ui).values()}
            named.pop(None, None)
            self._connection = node.connectParametersToGui(named)
            self._parameterNode = node
            self.addObserver(node, modified, self.onParametersModified)
            self.panel.set_parameters(node)

    def _mend_from_now_on(self, node: Any) -> None:
        """Before all others see it: a scene that is read changes the node that is there."""
        modified = vtk.vtkCommand.ModifiedEvent
        if not self.hasObserver(node, modified, self.logic.mend):
            self.addObserver(node, modified, self.logic.mend, priority=1.0)

    def onReload(self) -> None:  # noqa: N802
        """Reload the library with the module, in developer mode."""
        for name in [name for name in sys.modules if name.split(".")[0] == "SliceInterpLib"]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)


class SliceInterpLogic(ScriptedLoadableModuleLogic):
    """For scripts: everything without the panel."""

    def __init__(self, parent: Any = None) -> None:
        ScriptedLoadableModuleLogic.__init__(self, parent)
        self.tell: Callable[[str], object] = logging.warning
        """Called with a sentence where choices of the scene had to be replaced."""

    def getParameterNode(self) -> Any:  # noqa: N802
        """The choices in the scene."""
        from SliceInterpLib.scene.parameters import Parameters

        node = super().getParameterNode()
        self.mend(node)
        # parameterNodeWrapper, which has no types, makes it take the node.
        return Parameters(node)  # type: ignore[call-arg]

    @slots.reporting
    def mend(self, node: Any, event: Any = None) -> None:
        """Replace what cannot be chosen here; it can observe parameter nodes."""
        from SliceInterpLib.scene.parameters import mend

        replaced = mend(node)
        if replaced:
            self.tell(replaced)

    def process(self, inputNode: Any, *arguments: Any, **options: Any) -> Any:  # noqa: N803
        """Double the slices of a volume node: as SliceInterpLib.scene.processing.process."""
        from SliceInterpLib.scene.processing import process

        return process(inputNode, *arguments, **options)


class SliceInterpTest(ScriptedLoadableModuleTest):
    """What Slicer runs as the module's own test."""

    def runTest(self) -> None:  # noqa: N802
        """Double the phantom and look at what came out."""
        from SliceInterpLib.scene import processing

        processing.self_test(self, SliceInterpLogic())
