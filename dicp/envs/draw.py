"""Pictures of a grid world for `render()`: pillow only, drawn at three times the size and reduced
for smooth edges."""

import math
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dicp.checks import checked, one_of, refuse
from dicp.envs.tasks import Cell, Size, is_cell

__all__ = ["Mark", "draw_grid"]

SCALE = 3                                               # drawn pixels for each pixel of the picture
SIDE, LEFT, TOP, RIGHT, BOTTOM = 432, 32, 48, 16, 32    # pixels: the grid and the margins around it
INK, GREY, LINE, WHITE = "#222222", "#707070", "#C9CDD2", "#FFFFFF"
# Okabe and Ito's colours, told apart by everyone; shapes say it again
TRAIL, PATH, AGENT = "#DCEBF7", "#56B4E9", "#0072B2"
COLOURS = {"coin": "#E69F00", "goal": "#E69F00", "key": "#E69F00", "door": "#D55E00"}
REACHED = "#009E73"
LABELS_UP_TO = 20                                           # larger grids have no room for numbers


class Mark(NamedTuple):
    kind: str           # coin | goal | key | door
    cell: Cell
    reached: bool       # in this episode


class Pen:
    """Draws in units of cells around the centre of `cell`, x to the right and y up; `scale` and
    `shift` move glyphs."""

    def __init__(self, size: int):
        self.unit, self.size = SIDE * SCALE / size, size
        self.scale, self.shift = 1.0, 0.0
        shape = (LEFT + SIDE + RIGHT, TOP + SIDE + BOTTOM)
        self.image = Image.new("RGB", (shape[0] * SCALE, shape[1] * SCALE), WHITE)
        self.draw = ImageDraw.Draw(self.image)

    def at(self, cell: Cell, dx: float = 0, dy: float = 0) -> tuple[float, float]:
        x = cell[0] + 0.5 + self.shift + dx * self.scale
        y = self.size - cell[1] - 0.5 - dy * self.scale
        return LEFT * SCALE + x * self.unit, TOP * SCALE + y * self.unit

    def box(
        self, cell: Cell, colour: str, left: float, bottom: float, right: float, top: float
    ) -> None:
        self.polygon(cell, colour, [(left, bottom), (left, top), (right, top), (right, bottom)])

    def polygon(self, cell: Cell, colour: str, points: list[tuple[float, float]]) -> None:
        self.draw.polygon([self.at(cell, *point) for point in points], fill=colour)

    def disc(self, cell: Cell, colour: str, radius: float, dx: float = 0, dy: float = 0) -> None:
        self.draw.circle(self.at(cell, dx, dy), radius * self.scale * self.unit, fill=colour)

    def text(self, x: float, y: float, text: str, size: float, colour: str, anchor: str) -> None:
        font = ImageFont.load_default(size * SCALE)
        self.draw.text((x * SCALE, y * SCALE), text, fill=colour, anchor=anchor, font=font)


@checked
def draw_grid(
    size: Size, trail: list[Cell], marks: list[Mark], left: str, right: str
) -> np.ndarray:
    """The grid with the cells of the episode so far, `marks` and the agent on the last cell: uint8
    [height width 3]. left, right: what is written above it. Raises `ValueError` for what does not
    lie on the grid."""
    check_drawing(size, trail, marks)
    pen = Pen(size)
    for cell in trail:
        pen.box(cell, TRAIL, -0.5, -0.5, 0.5, 0.5)
    draw_lines(pen)
    if len(trail) > 1:
        path = [pen.at(cell) for cell in trail]
        pen.draw.line(path, fill=PATH, width=round(0.07 * pen.unit), joint="curve")
    pen.disc(trail[0], PATH, 0.13)
    draw_marks(pen, [mark for mark in marks if mark.cell != trail[-1]])
    pen.disc(trail[-1], WHITE, 0.43)
    pen.disc(trail[-1], AGENT, 0.39)
    under = [mark for mark in marks if mark.cell == trail[-1]]
    if under:    # what the agent stands on, in white on the agent
        pen.scale = 0.62
        GLYPHS[under[-1].kind](pen, under[-1].cell, WHITE, AGENT)
    pen.text(LEFT, TOP / 2, left, 21, INK, "lm")
    pen.text(LEFT + SIDE, TOP / 2, right, 21, INK, "rm")
    return np.asarray(pen.image.reduce(SCALE))


def check_drawing(size: int, trail: list[Cell], marks: list[Mark]) -> None:
    """Raise `ValueError` unless all that is to be drawn lies on the grid."""
    if not trail:
        raise refuse("trail", trail, "at least one cell")
    for mark in marks:
        if not isinstance(mark, Mark):
            raise refuse("marks", marks, "a list of Mark")
        one_of("kind of a mark", mark.kind, COLOURS)
    for cell in (*trail, *(mark.cell for mark in marks)):
        if not is_cell(cell, size):
            allowed = f"(x, y) with x and y whole numbers from 0 to {size - 1}"
            raise refuse("cell to draw", cell, allowed)


def draw_lines(pen: Pen) -> None:
    every = range(pen.size + 1) if pen.size <= SIDE else (0, pen.size)   # finer lines fill the grid
    for i in every:
        for ends in (((i, 0), (i, pen.size)), ((0, i), (pen.size, i))):
            colour = GREY if i in (0, pen.size) else LINE
            line = [pen.at(end, -0.5, -0.5) for end in ends]
            pen.draw.line(line, fill=colour, width=round(1.3 * SCALE))
    for i in range(pen.size if pen.size <= LABELS_UP_TO else 0):
        x, y = (length / SCALE for length in pen.at((i, i)))
        pen.text(x, TOP + SIDE + 0.45 * BOTTOM, str(i), 14, GREY, "mm")
        pen.text(0.55 * LEFT, y, str(i), 14, GREY, "mm")


def draw_marks(pen: Pen, marks: list[Mark]) -> None:
    """Every mark in its place; two on one cell side by side."""
    crowded = len({mark.cell for mark in marks}) < len(marks)
    for i, mark in enumerate(marks):
        pen.scale, pen.shift = (0.6, 0.44 * i - 0.22) if crowded else (1.0, 0.0)
        GLYPHS[mark.kind](pen, mark.cell, REACHED if mark.reached else COLOURS[mark.kind], WHITE)
    pen.scale, pen.shift = 1.0, 0.0


def draw_star(pen: Pen, cell: Cell, colour: str, ground: str) -> None:
    turns = [(k * math.pi / 5, 0.2 if k % 2 else 0.46) for k in range(10)]
    points = [(math.sin(turn) * r, math.cos(turn) * r - 0.03) for turn, r in turns]
    pen.polygon(cell, colour, points)


def draw_key(pen: Pen, cell: Cell, colour: str, ground: str) -> None:
    pen.box(cell, colour, -0.1, -0.06, 0.42, 0.06)
    pen.box(cell, colour, 0.2, -0.2, 0.28, 0)
    pen.box(cell, colour, 0.34, -0.2, 0.42, 0)
    pen.disc(cell, colour, 0.2, dx=-0.22)
    pen.disc(cell, ground, 0.09, dx=-0.22)


def draw_door(pen: Pen, cell: Cell, colour: str, ground: str) -> None:
    pen.box(cell, colour, -0.28, -0.42, 0.28, 0.42)
    pen.disc(cell, ground, 0.06, dx=0.15, dy=-0.02)


def draw_coin(pen: Pen, cell: Cell, colour: str, ground: str) -> None:
    pen.disc(cell, colour, 0.3)
    pen.disc(cell, ground, 0.2)
    pen.disc(cell, colour, 0.14)


GLYPHS = {"coin": draw_coin, "goal": draw_star, "key": draw_key, "door": draw_door}
