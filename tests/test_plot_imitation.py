"""The figures of notebook 02 in `dicp.plot.imitation`: what is drawn where."""

import matplotlib.pyplot as plt
import numpy as np

from dicp import plot


def test_what_is_drawn():
    plot.style()
    figure = plot.episodes({"episode 1": [40, 41], "episode 2": [40, 49, 58]}, title="A rollout", start=40, goal=58)
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["episode 1", "episode 2"]

    examples, inside = {"in a row": [[1, 2]], "every 3rd": [[1, 4]]}, {"in a row": [0, 1], "every 3rd": [0, 2]}
    figure = plot.strides(examples, inside, title="Steep", n_episodes=20, highest=2, guess=0.5)
    left, right = figure.axes
    assert left.get_xlim()[1] == 21 and right.get_ylim() == (0, 2)
    assert any(list(line.get_ydata()) == [0, 0.5] for line in right.lines)               # the guess

    sure = np.eye(5)[[0] * 4]                                                            # four visits of cell 7, always +x
    moments = {name: ([7] * 4 + [8], np.concatenate((sure, sure[:1]))) for name in ("early", "later", "late")}
    figure = plot.preferences(moments, {"AD": [0, 1]}, [0, 1], title="Sure", xlabel="episode", goal=80, key=3, guess=0.7)
    quiver = figure.axes[0].collections[0]
    assert (quiver.U, quiver.V) == (1, 0) and len(figure.axes) == 4                      # cell 8: too few visits

    opened, share = {"source": [1, 0], "AD": [0.5, 0.25]}, [1 / 81] * 81
    figure = plot.stuck(opened, {"source": share, "AD": share}, title="Stuck", key=3, door=8, shown=0)
    source, imitator = figure.axes[0].lines
    assert list(source.get_ydata()) == [0, 1] and list(imitator.get_ydata()) == [0.25, 0.5]
    plt.close("all")
