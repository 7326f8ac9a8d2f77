"""Rewards and successes of five Meta-World tasks for all rows at once (metaworld 3.1.1,
reward version "v2").

All distances are in metres; a reward is from 0 (nothing done) to 10 (the object at its goal). Each
agrees with the library's to within 1e-12. Two oddities of the library are kept: where the pads
"were at the start" is where they are now (it keeps a live view), and a grasp counts from a
different height and nearness in each task.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64
from numpy import ndarray

__all__ = ["REWARDS", "Scene"]

Rows = Float64[ndarray, "row"]
Points = Float64[ndarray, "row 3"]
Places = Callable[[str], Points]


class Scene(NamedTuple):
    """What a reward looks at, for all rows: the positions of named things,
    now and at the beginning of the episode."""

    body: Places
    site: Places
    # an attribute of the library's environment, as its reset left it
    start: Places
    observation: Float64[ndarray, "row 39"]      # `next_observation` of the step
    action: Float64[ndarray, "row 4"]            # as given, not clipped

    @property
    def gripper(self) -> Points:
        """The point between the two fingertips."""
        return (self.site("rightEndEffector") + self.site("leftEndEffector")) / 2

    @property
    def object(self) -> Points:
        return self.observation[:, 4:7]

    @property
    def opening(self) -> Rows:
        """From 0, closed, to 1, wide open."""
        return self.observation[:, 3]

    @property
    def closing(self) -> Rows:
        """How hard the action closes the gripper, from 0 to 1."""
        return self.action[:, 3].clip(0, 1)


def length(vector: Float64[ndarray, "*batch n"]) -> Float64[ndarray, "*batch"]:
    """The Euclidean norm, by the routine that `np.linalg.norm` uses for a single vector:
    equal to the last bit."""
    return np.sqrt(np.vecdot(vector, vector))


def near(x: Rows, low: float, high: float, margin: Rows) -> Rows:
    """1 from `low` to `high`, falling off outside, slowly: 0.1 at a distance of `margin`."""
    outside = np.where(x < low, low - x, x - high)
    with np.errstate(divide="ignore", invalid="ignore"):         # a margin of 0 is a sharp edge
        tail = 1 / ((3 * outside / margin) ** 2 + 1)
    return np.where((low <= x) & (x <= high), 1.0, tail)


def both(a: Rows, b: Rows) -> Rows:
    """The Hamacher product, a soft "and" of two numbers from 0 to 1."""
    total = a + b - a * b
    return np.divide(a * b, total, out=np.zeros_like(total), where=total > 0)


def flat(point: Points) -> Float64[ndarray, "row 2"]:
    """x and z; the fingers close along y."""
    return point[:, ::2]


def around(scene: Scene) -> Rows:
    """Is the gripper where the object is, seen along y (to 5 mm)?"""
    margin = length(flat(scene.start("obj_init_pos")) - flat(scene.start("init_tcp"))) - 0.005
    return near(length(flat(scene.gripper) - flat(scene.object)), 0, 0.005, margin)


def pads(scene: Scene) -> tuple[Rows, Rows]:
    """y of the pad on the left and of the one on the right."""
    return scene.body("leftpad")[:, 1], scene.body("rightpad")[:, 1]


def gripping(cage: Rows, scene: Scene) -> Rows:
    """Half for a gripper around the object, half for closing it there."""
    return (both(cage, np.where(cage > 0.97, scene.closing, 0)) + cage) / 2


def caged_since_start(scene: Scene, radius: float, reach: float) -> Rows:
    """Pads from `radius` to `reach` beside the object; forgiving where a pad is far from the
    object's first position."""
    y, start_y = scene.object[:, 1], scene.start("obj_init_pos")[:, 1]
    left, right = (
        near(abs(pad - y), radius, reach, abs(abs(pad - start_y) - reach)) for pad in pads(scene)
    )
    return gripping(both(both(left, right), around(scene)), scene)


def beside(scene: Scene, low: float, high: float) -> Rows:
    """Pads from `low` to `high` on their own sides of the object;
    forgiving where a pad is far from 50 mm."""
    (left, right), y = pads(scene), scene.object[:, 1]
    margins = (abs(abs(y - pad) - 0.05) for pad in (left, right))
    sides = zip((left - y, y - right), margins, strict=True)
    return both(*(near(x, low, high, margin) for x, margin in sides))


def reach(scene: Scene) -> tuple[Rows, Bool[ndarray, "row"]]:
    """The gripper to the goal."""
    goal = scene.start("_target_pos")
    distance = length(scene.gripper - goal)
    in_place = near(distance, 0, 0.05, length(scene.start("hand_init_pos") - goal))
    return 10 * in_place, distance <= 0.05


def towards_goal(scene: Scene) -> tuple[Rows, Rows]:
    """(distance from the object to the goal, how near that is)."""
    goal = scene.start("_target_pos")
    distance = length(scene.object - goal)
    return distance, near(distance, 0, 0.05, length(scene.start("obj_init_pos") - goal))


def held(scene: Scene, distance: float, lifted: float | None = None) -> Bool[ndarray, "row"]:
    """Is the object within `distance` of an open gripper, and at least `lifted` above
    where it was?"""
    at_hand = (length(scene.object - scene.gripper) < distance) & (scene.opening > 0)
    if lifted is None:
        return at_hand
    return at_hand & (scene.object[:, 2] - lifted > scene.start("obj_init_pos")[:, 2])


def push(scene: Scene) -> tuple[Rows, Bool[ndarray, "row"]]:
    """The puck along the table to the goal."""
    distance, in_place = towards_goal(scene)
    grasp = 2 * caged_since_start(scene, 0.015, 0.05)
    reward = grasp + np.where(held(scene, 0.02), 1 + grasp + 5 * in_place, 0)
    return np.where(distance < 0.05, 10, reward), distance <= 0.05


def pick_place(scene: Scene) -> tuple[Rows, Bool[ndarray, "row"]]:
    """The puck through the air to the goal."""
    distance, in_place = towards_goal(scene)
    grasp = gripping(both(beside(scene, 0.015, 0.05), around(scene)), scene)
    reward = both(grasp, in_place) + np.where(held(scene, 0.02, lifted=0.01), 1 + 5 * in_place, 0)
    return np.where(distance < 0.05, 10, reward), distance <= 0.07


def sweep(scene: Scene) -> tuple[Rows, Bool[ndarray, "row"]]:
    """The object along the table to x = 0.5 (y stays: this goal is not hidden)."""
    distance, in_place = towards_goal(scene)
    cage = both(beside(scene, 0.02, 0.05), around(scene))
    grasp = (cage + np.where(cage > 0.95, beside(scene, 0.02, 0.02 + 0.01), 0)) / 2
    reward = 2 * grasp + 6 * both(grasp, in_place)
    return np.where(distance < 0.05, 10, reward), distance <= 0.05


def clear_of(scene: Scene, number: int, point: Points) -> Rows:
    """1 outside the box of that number beneath the hole, less inside."""
    corner = scene.site(f"bottom_right_corner_collision_box_{number}")
    size = scene.site(f"top_left_corner_collision_box_{number}") - corner
    share = (point - corner) / size
    return np.where(((share >= 0) & (share <= 1)).all(-1), share.prod(-1), 1)


def peg_insert_side(scene: Scene) -> tuple[Rows, Bool[ndarray, "row"]]:
    """The peg's head into the hole in the side of a box; distances across the hole (y and z)
    count double."""
    goal, head, scale = scene.start("_target_pos"), scene.site("pegHead"), np.array([1.0, 2.0, 2.0])
    distance = length((head - goal) * scale)
    in_place = near(distance, 0, 0.07, length((scene.start("peg_head_pos_init") - goal) * scale))
    in_place = both(in_place, both(clear_of(scene, 2, head), clear_of(scene, 1, head)))
    lifted = held(scene, 0.08, lifted=0.01)
    grasp = np.where(lifted, 1, caged_since_start(scene, 0.0075, 0.03))
    reward = both(grasp, in_place) + np.where(lifted, 1 + 5 * in_place, 0)
    return np.where(distance <= 0.07, 10, reward), distance <= 0.07


REWARDS: dict[str, Callable[[Scene], tuple[Rows, Bool[ndarray, "row"]]]] = {
    "reach-v3": reach, "push-v3": push, "pick-place-v3": pick_place, "sweep-v3": sweep,
    "peg-insert-side-v3": peg_insert_side,
}
