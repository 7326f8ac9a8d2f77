"""One simulator of a Meta-World task: the library's own environment, with equal,
quicker parts where it is slow.

Its reset simulates as much as an episode of 100 steps and always ends the same: `Simulator.starts`
does it once an instance. It measures and scores single distances with functions made for arrays,
and looks up by name, at every step, what never moves in memory. And it searches all contacts for a
number that only its `info` holds. Written for metaworld 3.1.1;
`tests/test_metaworld.py` compares all 50 tasks with it.
"""

from collections.abc import Sequence
from functools import cache
from math import hypot, sqrt
from types import FunctionType, ModuleType, SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from numpy import ndarray

from dicp.checks import Each, Number, refuse
from dicp.envs.metaworld_import import MetaWorldMissing, libraries

__all__ = ["Instance", "MetaWorldMissing", "libraries"]

Instance = tuple[float, ...]   # the numbers in which an environment differs from others of its task
MOST_METRES = 10                   # of a coordinate; the library's own are below 1


def quaternion(matrix: ndarray) -> ndarray:
    """(x, y, z, w) of a rotation matrix, in the arithmetic of
    `scipy.spatial.transform.Rotation`."""
    m = matrix.tolist()
    diagonal = [m[0][0], m[1][1], m[2][2]]
    trace, largest = diagonal[0] + diagonal[1] + diagonal[2], max(diagonal)
    if trace > largest:
        x, y, z, w = m[2][1] - m[1][2], m[0][2] - m[2][0], m[1][0] - m[0][1], 1 + trace
    else:
        i = diagonal.index(largest)
        j, k = (i + 1) % 3, (i + 2) % 3
        xyz = [0.0, 0.0, 0.0]
        xyz[i], xyz[j], xyz[k] = 1 - trace + 2 * largest, m[j][i] + m[i][j], m[k][i] + m[i][k]
        (x, y, z), w = xyz, m[k][j] - m[j][k]
    norm = sqrt(x * x + y * y + z * z + w * w)    # not `** 2`, which rounds differently
    return np.array([x / norm, y / norm, z / norm, w / norm])


def quick_tolerance(library: ModuleType):
    """The library's `tolerance` (1 in an interval, less outside),
    quicker for one number and the most common shape."""

    def tolerance(x, bounds=(0.0, 0.0), margin=0.0, sigmoid="gaussian", value_at_margin=0.1):
        if sigmoid != "long_tail" or value_at_margin != 0.1 or not margin > 0:
            return library.tolerance(x, bounds, margin, sigmoid, value_at_margin)
        low, high = bounds
        outside = max(float(low - x), float(x - high)) / float(margin)
        return 1.0 if outside <= 0 else 1 / ((3 * outside) ** 2 + 1)

    return tolerance


def norm(x, *how, **else_):
    """`np.linalg.norm`, quicker for one vector."""
    if how or else_ or not isinstance(x, ndarray) or x.ndim != 1:
        return np.linalg.norm(x, *how, **else_)
    return np.sqrt(x.dot(x))


def hstack(parts):
    """`np.hstack`, quicker for vectors and for single numbers."""
    kinds = set(map(type, parts))
    if kinds == {np.float64}:
        return np.array(parts)
    return np.concatenate(parts) if kinds == {ndarray} and parts[0].ndim == 1 else np.hstack(parts)


def quick_caging(scores: Any):
    """The library's reward for having the gripper around an object, in plain numbers,
    quicker than arrays of two."""
    both = scores.hamacher_product

    def near(distance, span: tuple, margin):
        return scores.tolerance(distance, span, margin, "long_tail")

    def beside(pad: Any, here: list, start: list, span: tuple):
        y = float(pad.xpos[1])
        return near(abs(y - here[1]), span, abs(abs(y - start[1]) - span[1]))

    def caging(env, action, obj_pos, obj_radius, pad_success_thresh, object_reach_radius, xz_thresh,
               desired_gripper_effort=1.0, high_density=False, medium_density=False):
        points = obj_pos, env.obj_init_pos, env.tcp_center, env.init_tcp
        here, start, gripper, first = (point.tolist() for point in points)
        away = [a - b for a, b in zip(gripper, here, strict=True)]
        once = [a - b for a, b in zip(start, first, strict=True)]
        around = near(hypot(*away[::2]), (0, xz_thresh), hypot(*once[::2]) - xz_thresh)
        pads, span = map(env.data.body, ("leftpad", "rightpad")), (obj_radius, pad_success_thresh)
        caged = both(both(*(beside(pad, here, start, span) for pad in pads)), around)
        closed = min(max(0, float(action[-1])), desired_gripper_effort) / desired_gripper_effort
        gripping = both(caged, closed if caged > 0.97 else 0.0)
        if high_density:
            return (gripping + caged) / 2
        if medium_density:
            distance, margin = hypot(*away), abs(hypot(*once) - object_reach_radius)
            return (gripping + near(distance, (0, object_reach_radius), margin)) / 2
        return gripping

    return caging


def touching_object(env: Any, geom: int) -> bool:
    """Do both pads press on the geom of that number?"""
    contact = env.data.contact
    pairs = contact.geom.tolist()

    def presses(pad: int) -> bool:
        touches = [number for number, pair in enumerate(pairs) if geom in pair and pad in pair]
        return bool(sum(env.data.efc_force[contact.efc_address[number]] for number in touches) > 0)

    return all(presses(env.data.geom(name).id) for name in ("leftpad_geom", "rightpad_geom"))


def quick(library: type) -> type:
    """A subclass of one of the library's environments; its functions are the library's,
    but find quicker helpers."""
    from metaworld.sawyer_xyz_env import SawyerXYZEnv
    from metaworld.utils import reward_utils

    rotation = SimpleNamespace(
        from_matrix=lambda matrix: SimpleNamespace(as_quat=lambda: quaternion(matrix))
    )
    scores = SimpleNamespace(**{**vars(reward_utils), "tolerance": quick_tolerance(reward_utils)})
    linalg = SimpleNamespace(norm=norm)
    numbers = SimpleNamespace(**{**vars(np), "hstack": hstack, "linalg": linalg})
    helpers = {
        "Rotation": rotation, "reward_utils": scores, "tolerance": scores.tolerance, "np": numbers,
    }
    own = {}
    for name in dir(library):
        old = getattr(library, name)
        if isinstance(old, FunctionType) and helpers.keys() & set(old.__code__.co_names):
            own[name] = FunctionType(
                old.__code__, old.__globals__ | helpers, name, old.__defaults__, old.__closure__
            )
    # not one of the six that have their own
    if library._gripper_caging_reward is SawyerXYZEnv._gripper_caging_reward:
        own["_gripper_caging_reward"] = quick_caging(scores)
    matters = library.__name__ == "SawyerStickPushEnvV3"    # the only success that asks for it
    own["touching_object"] = touching_object if matters else lambda *_: False
    return type(library.__name__, (library,), own)


class Names:
    """MuJoCo's data, but its bodies, geoms, joints and sites are looked up once a name. What they
    hold stays in its place."""

    def __init__(self, data: Any):
        self._data = data
        kinds = data.body, data.geom, data.joint, data.site
        self.body, self.geom, self.joint, self.site = map(cache, kinds)
        self.qpos, self.qvel = data.qpos, data.qvel

    def __getattr__(self, name: str) -> Any:
        return getattr(self._data, name)


class Start(NamedTuple):
    """An instance right after a reset."""

    physics: ndarray                     # as `Simulator.advance` takes it
    observation: ndarray                 # 39
    attributes: dict[str, Any]           # of the environment
    model: dict[str, ndarray]            # arrays of the model that some instances change


class Simulator:
    """The environment of a task, loaded with one agent at a time.

    The physics of an agent is a vector of `size` numbers, with the commands (control 2, mocap
    position 3, mocap quaternion 4) at `commands`; all else that it has is the dictionary of the
    environment's attributes.
    """

    def __init__(self, name: str):
        metaworld, self._mujoco = libraries()
        self.name = name
        self.env = quick(metaworld.env_dict.ALL_V3_ENVIRONMENTS[name])()
        self.model, self.data = self.env.model, self.env.data
        self._names, self._xpos = Names(self.data), self.data.xpos
        bodies = "hand", "rightclaw", "leftclaw"
        self.hand, *self.claws = (self.data.body(body).id for body in bodies)
        self.hand_bounds = self.env._HAND_SPACE.low, self.env._HAND_SPACE.high
        kinds = self._mujoco.mjtState
        # in the order in which MuJoCo stores them
        parts = [
            kinds.mjSTATE_FULLPHYSICS, kinds.mjSTATE_WARMSTART, kinds.mjSTATE_CTRL,
            kinds.mjSTATE_MOCAP_POS, kinds.mjSTATE_MOCAP_QUAT,
        ]
        sizes = [self._mujoco.mj_stateSize(self.model, int(part)) for part in parts]
        self._parts, self.size = sum(map(int, parts)), sum(sizes)
        self.commands = slice(sum(sizes[:2]), self.size)

    def starts(self, instances: Sequence[Instance]) -> list[Start]:
        """What the library's reset makes of each instance. Each begins with a fresh model, so their
        order does not matter. Raises `ValueError` for what cannot be an instance."""
        instances = [self._instance(instance) for instance in instances]
        arrays = {name: getattr(self.model, name) for name in dir(self.model)}
        arrays = {name: array for name, array in arrays.items() if isinstance(array, ndarray)}
        fresh = {name: array.copy() for name, array in arrays.items()}
        attributes, starts = vars(self.env), []
        for instance in instances:
            self.env.__dict__ = attributes.copy()
            physics, observation = self._reset(instance)
            changed = {
                name: array.copy() for name, array in arrays.items()
                if array.tobytes() != fresh[name].tobytes()
            }
            known = vars(self.env) | {"data": self._names}
            starts.append(Start(physics, observation, known, changed))
            self.enter({name: fresh[name] for name in changed})
        touched = {name: fresh[name] for start in starts for name in start.model}
        return [start._replace(model=touched | start.model) for start in starts]

    def _instance(self, instance: Any) -> Instance:
        """The instance as plain numbers."""
        size = self.env._random_reset_space.shape[0]
        try:
            return Each(Number(-MOST_METRES, MOST_METRES), size)("instance", instance)
        except ValueError:
            span = f"from -{MOST_METRES} to {MOST_METRES}"
            allowed = f"{size} finite numbers {span}, see ml1_instances"
            raise refuse(f"instance of {self.name}", instance, allowed) from None

    def _reset(self, instance: Instance) -> tuple[ndarray, ndarray]:
        """(physics, observation)"""
        self.env._set_task_called = True
        draws = iter([np.array(instance, np.float64) for _ in range(2)])  # the library resets twice
        self.env._get_state_rand_vec = draws.__next__
        try:
            observation, _ = self.env.reset()
        except StopIteration:    # it would draw, in vain, for ever
            what, allowed = f"instance of {self.name}", "a goal further from the object"
            raise refuse(what, instance, allowed) from None
        physics = np.empty(self.size)
        self._mujoco.mj_getState(self.model, self.data, physics, self._parts)
        return physics, observation

    def enter(self, model: dict[str, ndarray]) -> None:
        """Write the arrays of an instance into the model."""
        for name, array in model.items():
            getattr(self.model, name)[:] = array

    def load(self, physics: ndarray) -> None:
        """Leave the simulator where an agent is."""
        self._mujoco.mj_setState(self.model, self.data, physics, self._parts)
        self._mujoco.mj_forward(self.model, self.data)

    def advance(self, physics: ndarray) -> None:
        """Move an agent on by one step, 12.5 ms, in place; the simulator is left where
        that agent is."""
        mujoco, model, data = self._mujoco, self.model, self.data
        mujoco.mj_setState(model, data, physics, self._parts)
        mujoco.mj_step(model, data, nstep=self.env.frame_skip)
        mujoco.mj_forward(model, data)    # not only for positions: the solver begins here next time
        mujoco.mj_getState(model, data, physics, self._parts)

    def see_hand(self, out: ndarray) -> None:
        """Write where the hand is, and the gripper's opening, into `out` (4 numbers):
        `MetaWorld._see_hands` for one agent."""
        (low, high), (right, left), place = self.hand_bounds, self.claws, out[:3]
        np.minimum(np.maximum(self._xpos[self.hand], low, out=place), high, out=place)
        out[3] = min(norm(self._xpos[right] - self._xpos[left]) / 0.1, 1)

    def objects(self, out: ndarray) -> None:
        """Write position and quaternion of one object or two into `out` (14 numbers)."""
        positions, quaternions = self.env._get_pos_objects(), self.env._get_quat_objects()
        for number in range(len(positions) // 3):
            out[7 * number : 7 * number + 3] = positions[3 * number : 3 * number + 3]
            out[7 * number + 3 : 7 * number + 7] = quaternions[4 * number : 4 * number + 4]
