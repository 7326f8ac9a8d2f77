"""Meta-World ML1, many agents in many instances of one task, several times faster than the library.

Observations and successes are the library's to the last bit. Rewards differ from its own by at most
3.6e-15 (of 10; 108,800 steps of 20 tasks): they are computed in another order.

An instance is what ML1 calls a task: where the object is and, hidden, the goal. There is one
simulator for all agents (`metaworld_library`); between two steps an agent is a row of a matrix, its
physics, and the attributes that the library's environment had for it. Five tasks have batched
rewards (`metaworld_rewards`); else the library's own code runs, row by row.
"""

import pickle
from collections.abc import Sequence
from functools import cache
from typing import Annotated, Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float64
from numpy import ndarray

from dicp.checks import Count, Index, OneOf, Whole, checked, fits_memory, refuse, shown, whole
from dicp.config import ML1_TASKS
from dicp.config.env import TWO_OBJECTS
from dicp.envs.metaworld_checks import check_numbers, check_rows, known_actions
from dicp.envs.metaworld_library import Instance, MetaWorldMissing, Simulator, libraries
from dicp.envs.metaworld_rewards import REWARDS, Scene, length
from dicp.envs.tasks import MOST_ML1_SEED

__all__ = [
    "ML1_TASKS", "Instance", "MetaWorld", "MetaWorldMissing", "Step", "WorldState", "ml1_instances",
    "observed",
]

TaskName = Annotated[str, OneOf(ML1_TASKS)]
ROW_BYTES = 2**14                       # of an agent
INSTANCE_BYTES = 2**20

LABELS = ("hand x", "hand y", "hand z", "gripper opening",
          *(f"{thing} {number}" for thing in ("object", "second object")
            for number in "x y z q0 q1 q2 q3".split()))


@checked
def observed(name: TaskName) -> list[tuple[int, str]]:
    """(index, label) of those of the 39 numbers that agents get: 11,
    or 18 for the three tasks with a second object.

    Positions in metres; the opening from 0 to 1; q0 to q3 a quaternion (scalar last in some tasks,
    first in others, zeros in seven). Left out: the second object where there is none (zeros), the
    same numbers one step ago (18 to 35; a history has them), the goal (36 to 38; hidden, zeros).
    Raises `ValueError` for an unknown task.
    """
    return list(enumerate(LABELS))[: 18 if name in TWO_OBJECTS else 11]


@checked
def ml1_instances(
    name: TaskName, seed: Annotated[int, Whole(0, MOST_ML1_SEED)] = 0
) -> tuple[list[Instance], list[Instance]]:
    """The 50 train and 50 test instances of `ML1(name, seed)`: coordinates [m] of the object and,
    in most tasks, the goal.

    Takes about a second. The test instances of a seed are the train instances of the next one.
    Raises `ValueError` for an unknown task or a seed that is not from 0 to 2**32 - 2,
    `MetaWorldMissing` without the library.
    """
    benchmark = libraries()[0].ML1(name, seed=seed)
    train, test = ([tuple(pickle.loads(task.data)["rand_vec"].tolist()) for task in tasks]
                   for tasks in (benchmark.train_tasks, benchmark.test_tasks))
    return train, test


class Step(NamedTuple):
    """One transition of every agent. `next_observation` is the true outcome; `observation` is what
    the agent sees next (the first of a new episode after the last step of one)."""

    reward: Float64[ndarray, "task stream"]                  # from 0 to 10
    success: Bool[ndarray, "task stream"]                    # at this very step
    next_observation: Float64[ndarray, "task stream 39"]
    observation: Float64[ndarray, "task stream 39"]
    done: bool    # the horizon is reached; no episode ends before it


class WorldState(NamedTuple):
    """All that a world needs to go on from here, bit for bit; it can be pickled."""

    of: tuple    # (name, instances, n_streams, horizon) of the world
    t: int
    physics: Float64[ndarray, "row number"]
    observation: Float64[ndarray, "row 39"]
    attributes: list[dict[str, Any]]    # of each row: what the library changed since the reset


class MetaWorld:
    """`n_streams` agents in each of `instances` of an ML1 task, stepped together; episodes of fixed
    length start again by themselves. Observations are the library's 39 numbers (`observed` says
    which an agent gets), the goal hidden.

    `t` counts the env steps of this episode. Raises `ValueError` for an unknown task, an instance
    that cannot be one of it and more agents than the memory holds, `MetaWorldMissing` without the
    library. Takes 0.1 s and 50 MB, 10 ms and 1 MB an instance, and 8 kB an agent.
    """

    @checked
    def __init__(
        self,
        name: TaskName,
        instances: Sequence[Instance],
        n_streams: Count = 1,
        horizon: Count = 100,
    ):
        if not len(instances):
            raise refuse("instances", instances, "at least one, see ml1_instances")
        n_bytes = len(instances) * (n_streams * ROW_BYTES + INSTANCE_BYTES)
        fits_memory("n_streams", n_streams, n_bytes, "a smaller whole number, of at least 1")
        self.name, self.instances = name, list(instances)
        self.n_streams, self.horizon = n_streams, horizon
        self._simulator = simulator = Simulator(name)
        self._starts = simulator.starts(self.instances)
        self._start_of = np.repeat(np.arange(len(self.instances)), n_streams)        # for each row
        n_rows, data = len(self._start_of), simulator.data
        self._xpos = np.empty((n_rows, *data.xpos.shape))                      # row body 3
        self._site_xpos = np.empty((n_rows, *data.site_xpos.shape))            # row site 3
        self._at_start = cache(self._at_start)                                 # starts never change
        self.reset()

    def reset(self) -> Float64[ndarray, "task stream 39"]:
        """Begin a new episode everywhere; returns the first observations."""
        starts = [self._starts[number] for number in self._start_of]
        self._physics = np.stack([start.physics for start in starts])                # row number
        self._observation = np.stack([start.observation for start in starts])        # row 39
        self._attributes = [start.attributes.copy() for start in starts]
        self.t = 0
        return self._by_task(self._observation)

    def step(self, action: Float[ndarray, "task stream 4"]) -> Step:
        """Take one action everywhere: the hand's target moves by 10 mm times the first three
        numbers (clipped to -1 and 1), the fourth closes the gripper. Computes in float64, also
        where the library, given float32, would not. Raises `ValueError` for another shape or
        dtype and for what is not finite."""
        action = known_actions(action, (len(self.instances), self.n_streams, 4))
        self._command(action)
        simulator, batched = self._simulator, REWARDS.get(self.name)
        now = np.zeros_like(self._observation)
        now[:, 18:36] = self._observation[:, :18]
        reward, success = np.empty(len(now)), np.empty(len(now), bool)
        for row, observation in enumerate(now):
            if row % self.n_streams == 0:
                simulator.enter(self._starts[self._start_of[row]].model)
            simulator.env.__dict__ = self._attributes[row]
            simulator.advance(self._physics[row])
            simulator.objects(observation[4:18])
            if batched:
                self._xpos[row] = simulator.data.xpos
                self._site_xpos[row] = simulator.data.site_xpos
            else:
                simulator.see_hand(observation[:4])
                reward[row], info = simulator.env.evaluate_state(observation, action[row])
                success[row] = info["success"]
        if batched:
            self._see_hands(now)
            reward, success = batched(Scene(self._body, self._site, self._at_start, now, action))
        self._observation, self.t = now, self.t + 1
        done, next_observation = self.t == self.horizon, self._by_task(now)
        observation = self.reset() if done else next_observation.copy()
        return Step(
            self._by_task(reward), self._by_task(success), next_observation, observation, done
        )

    @property
    def goal(self) -> Float64[ndarray, "task 3"]:
        """Where each instance's goal is [m]. No observation tells."""
        return np.stack([start.attributes["_target_pos"] for start in self._starts])

    @checked
    def show(self, task: Index = 0, stream: Index = 0) -> tuple[Any, Any]:
        """(MuJoCo's model, its data) with one agent in them, to look at
        (`dicp.envs.metaworld_camera`). Raises `ValueError` for an agent that is not there."""
        whole("task", task, 0, len(self.instances) - 1)
        whole("stream", stream, 0, self.n_streams - 1)
        row = task * self.n_streams + stream
        self._simulator.enter(self._starts[self._start_of[row]].model)
        self._simulator.load(self._physics[row])
        return self._simulator.model, self._simulator.data

    def _command(self, action: Float64[ndarray, "row 4"]) -> None:
        """Write the actions into the physics of all rows; the gripper's two fingers
        get opposite controls."""
        env, commands = self._simulator.env, self._physics[:, self._simulator.commands]
        target = commands[:, 2:5] + action[:, :3].clip(-1, 1) * env.action_scale
        commands[:, 0], commands[:, 1] = action[:, 3], -action[:, 3]
        commands[:, 2:5], commands[:, 5:] = target.clip(env.mocap_low, env.mocap_high), (1, 0, 1, 0)

    def _see_hands(self, observation: Float64[ndarray, "row 39"]) -> None:
        """Fill in where the hand is, and the gripper's opening: the distance of the claws, in units
        of 100 mm, at most 1."""
        simulator, xpos = self._simulator, self._xpos
        (low, high), (right, left) = simulator.hand_bounds, simulator.claws
        observation[:, :3] = np.minimum(np.maximum(xpos[:, simulator.hand], low), high)
        observation[:, 3] = np.minimum(length(xpos[:, right] - xpos[:, left]) / 0.1, 1)

    def _body(self, name: str) -> Float64[ndarray, "row 3"]:
        return self._xpos[:, self._simulator.model.body(name).id]

    def _site(self, name: str) -> Float64[ndarray, "row 3"]:
        return self._site_xpos[:, self._simulator.model.site(name).id]

    def _at_start(self, name: str) -> Float64[ndarray, "row 3"]:
        return np.stack([start.attributes[name] for start in self._starts])[self._start_of]

    def _by_task(self, rows: ndarray) -> ndarray:
        """A copy, row -> task stream."""
        return rows.reshape(len(self.instances), self.n_streams, *rows.shape[1:]).copy()

    def get_state(self) -> WorldState:
        """Everything that `set_state` needs, in copies."""
        firsts = [self._starts[number].attributes for number in self._start_of]
        changed = [{name: value for name, value in now.items() if value is not first.get(name)}
                   for now, first in zip(self._attributes, firsts, strict=True)]
        return WorldState(
            self._signature(), self.t, self._physics.copy(), self._observation.copy(), changed
        )

    @checked
    def set_state(self, state: WorldState) -> Float64[ndarray, "task stream 39"]:
        """Go on from a state of this world, or of one that was made alike (else `ValueError`);
        returns the observations."""
        if not isinstance(state.of, tuple) or state.of != self._signature():
            raise refuse("state.of", state.of, f"{shown(self._signature())} of this world")
        whole("state.t", state.t, 0, self.horizon - 1)
        check_numbers("state.physics", state.physics, self._physics)
        check_numbers("state.observation", state.observation, self._observation)
        check_rows("state.attributes", state.attributes, len(self._attributes))
        self.reset()
        self._physics, self._observation = state.physics.copy(), state.observation.copy()
        self.t = state.t
        for now, changed in zip(self._attributes, state.attributes, strict=True):
            now.update(changed)
        return self._by_task(self._observation)

    def _signature(self) -> tuple:
        instances = [tuple(instance) for instance in self.instances]
        return self.name, instances, self.n_streams, self.horizon
