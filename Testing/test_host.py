"""The headless host does what Slicer does, where the extension relies on it."""

from __future__ import annotations

import enum
from typing import Annotated

import pytest

slicer = pytest.importorskip("slicer", reason="the headless host needs slicer-core")

PANEL = """<ui version="4.0"><class>Panel</class>
<widget class="qMRMLWidget" name="Panel"><layout class="QVBoxLayout" name="column">
 <item><widget class="qMRMLNodeComboBox" name="inputSelector">
  <property name="nodeTypes"><stringlist><string>vtkMRMLScalarVolumeNode</string></stringlist>
  </property><property name="SlicerParameterName" stdset="0"><string>volume</string></property>
 </widget></item>
 <item><widget class="qMRMLNodeComboBox" name="unconnectedSelector">
  <property name="nodeTypes"><stringlist><string>vtkMRMLScalarVolumeNode</string></stringlist>
  </property></widget></item>
 <item><widget class="QComboBox" name="methodBox">
  <property name="SlicerParameterName" stdset="0"><string>method</string></property></widget></item>
 <item><widget class="QCheckBox" name="thinBox">
  <property name="SlicerParameterName" stdset="0"><string>thin</string></property></widget></item>
</layout></widget>
<connections><connection><sender>Panel</sender>
 <signal>mrmlSceneChanged(vtkMRMLScene*)</signal><receiver>inputSelector</receiver>
 <slot>setMRMLScene(vtkMRMLScene*)</slot></connection></connections></ui>"""


class Speed(enum.Enum):
    QUICK = 1
    CAREFUL = 2


@pytest.fixture
def ui(scene, tmp_path):
    path = tmp_path / "Panel.ui"
    path.write_text(PANEL)
    widget = slicer.util.loadUI(str(path))
    children = slicer.util.childWidgetVariables(widget)
    widget.setMRMLScene(scene)
    children.panel = widget
    return children


@pytest.fixture
def parameters(scene):
    from slicer.parameterNodeWrapper import Choice, parameterNodeWrapper

    hints = {
        "volume": slicer.vtkMRMLScalarVolumeNode,
        "method": Annotated[str, Choice(["linear", "cubic"])],
        "speed": Speed,
        "count": int,
        "thin": bool,
    }
    defaults = {"method": "cubic", "speed": Speed.CAREFUL, "count": 2, "thin": False}
    described = type("Parameters", (), {"__annotations__": hints, **defaults})
    wrapped = parameterNodeWrapper(described)
    return wrapped(scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode"))


def test_every_start_gives_an_empty_scene(scene):
    import headless

    scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    again = headless.start()
    assert again is slicer.mrmlScene
    assert not slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    assert again.GetFirstNodeByClass("vtkMRMLLayoutNode")
    assert slicer.app.applicationLogic().GetMRMLScene() is again


def test_qt_as_pythonqt_shows_it(scene):
    import qt

    button = qt.QPushButton("Apply")
    pressed = []
    button.connect("clicked()", lambda: pressed.append("plain"))
    button.connect("clicked(bool)", lambda on: pressed.append(on))
    button.enabled = False
    assert not button.isEnabled()
    button.setEnabled(True)
    assert button.enabled and button.text == "Apply"
    button.click()
    assert pressed == ["plain", False]
    button.disconnect("clicked(bool)")
    button.click()
    assert pressed == ["plain", False, "plain"]


def test_selectors_follow_the_scene_that_the_ui_file_connects(ui, scene):
    assert ui.inputSelector.currentNode() is None
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
    assert ui.inputSelector.currentNode() is node
    assert ui.unconnectedSelector.currentNode() is None
    scene.RemoveNode(node)
    assert ui.inputSelector.currentNode() is None


def test_parameters_live_in_the_node_and_in_the_widgets(ui, scene, parameters):
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
    other = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "other")
    parameters.volume = node
    widgets = {"volume": ui.inputSelector, "method": ui.methodBox, "thin": ui.thinBox}
    tag = parameters.connectParametersToGui(widgets)
    assert ui.methodBox.currentText == "cubic"
    assert ui.inputSelector.currentNode() is node
    ui.methodBox.currentIndex = 0
    ui.thinBox.checked = True
    ui.inputSelector.setCurrentNode(other)
    assert (parameters.method, parameters.thin, parameters.volume) == ("linear", True, other)
    parameters.method = "cubic"
    assert ui.methodBox.currentIndex == 1
    parameters.disconnectGui(tag)
    ui.thinBox.checked = False
    assert parameters.thin
    again = type(parameters)(parameters.parameterNode)
    assert (again.speed, again.count, again.method) == (Speed.CAREFUL, 2, "cubic")
    with pytest.raises(ValueError, match="choose one of"):
        parameters.method = "magic"


def test_new_nodes_are_filed(scene):
    tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
    item = tree.GetItemByDataNode(node)
    assert tree.GetItemParent(item) == tree.GetSceneItemID()
    scene.RemoveNode(node)
    assert not tree.GetItemByDataNode(node)


def test_packages_are_checked_as_slicer_does(scene, tmp_path):
    (tmp_path / "requirements.txt").write_text("# these\nnumpy>=1.20\n--no-deps\nno-such-package\n")
    wanted = slicer.packaging.load_requirements(tmp_path / "requirements.txt")
    assert [slicer.packaging.pip_check(one) for one in wanted] == [True, False]
    assert not slicer.packaging.pip_check("numpy>=99")
    assert slicer.packaging.pip_check("no-such-package; python_version < '3'")
