"""The table of what each action is believed to do."""

import matplotlib.pyplot as plt
import torch

from dicp import plot


def test_every_model_has_a_row_and_every_moment_a_column():
    plt.switch_backend("agg")
    rows = {name: [torch.eye(5).flatten(), torch.full((25,), 0.2)] for name in ("observational", "exact belief")}
    figure = plot.belief_moves(rows, ["early", "late"], title="t", truth=[0, 1, 2, 3, 4], seen=[[], [0, 3]])
    panels = figure.axes[:4]                                             # the fifth is the colour bar
    assert [ax.get_title() for ax in panels] == ["early", "late", "", ""]
    assert [label.get_text() for label in panels[0].get_xticklabels()] == ["→", "←", "↑", "↓", "•"]
    assert [list(ax.lines[0].get_ydata()) for ax in panels] == [[], [0, 3], [], [0, 3]]
    assert (panels[0].images[0].get_array().data == torch.eye(5).numpy()).all()
    plt.close(figure)
