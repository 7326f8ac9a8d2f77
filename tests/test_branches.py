"""The library asks what an observation or an action is, never which world it is: the questions, counted."""

import ast
from pathlib import Path

import dicp
from dicp.config import ML1_TASKS, registry

ROOT = Path(dicp.__file__).parent
# What is of one world: its rules, its settings, its pictures and lessons, the controls that know its rules.
OF_WORLDS = (
    "domain", "envs", "config/presets.py", "config/env.py", "config/registry.py", "worlds.py", "plot",
    "exercises", "figures.py", "paper.py", "ml1.py", "experts.py", "branching.py", "oracles.py", "explorers", "beliefs.py",
    "believed.py", "probes.py", "thompson.py",
)
CLASSES = {
    "EnvConfig", "GridConfig", "TreasureConfig", "NoisyConfig", "MetaWorldConfig",
    "GridDomain", "RoomDomain", "ArmDomain", "GridWorld", "TabularWorld", "SeenMetaWorld",
}
NAMES = {*registry.OURS, *ML1_TASKS}
MOST = 5            # questions about a space: policy, heads, the source's agents, stable-baselines3's actions, hopes


def modules():
    for path in sorted(ROOT.rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if not name.startswith(OF_WORLDS):
            yield name, ast.parse(path.read_text(encoding="utf-8"))


def called(node):
    return node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else None


def names_in(node):
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


def texts_in(nodes):
    return {part.value for node in nodes for part in ast.walk(node) if isinstance(part, ast.Constant)}


def test_nobody_asks_for_the_class_of_a_world():
    found = [(name, node.lineno) for name, tree in modules() for node in ast.walk(tree)
             if called(node) == "isinstance" and names_in(node.args[1]) & CLASSES]
    assert found == []


def test_nobody_compares_the_name_of_a_world():
    found = [(name, node.lineno) for name, tree in modules() for node in ast.walk(tree)
             if isinstance(node, ast.Compare) and texts_in([node.left, *node.comparators]) & NAMES]
    assert found == []


def test_there_are_few_questions_about_a_space_and_none_in_disguise():
    asked = [(name, node.lineno) for name, tree in modules() if name != "types.py" for node in ast.walk(tree)
             if isinstance(node, ast.Attribute) and node.attr == "is_discrete"]
    assert len(asked) <= MOST, asked
    disguised = [(name, node.lineno) for name, tree in modules() for node in ast.walk(tree)
                 if called(node) == "hasattr" and names_in(node.args[0]) & {"env", "domain", "world", "config"}]
    assert disguised == []
