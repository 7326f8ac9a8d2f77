"""All methods of a world side by side: one panel an imitator, the same controls behind each."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dicp.config import IMITATORS
from dicp.plot.curves import looks, returns, sizes
from dicp.plot.histories import claim
from dicp.plot.look import GREY
from dicp.results import CONTROLS

PANELS = {"ad": "AD imitates the source's actions", "dpt": "DPT imitates optimal actions", "idt": "IDT imitates decisions"}


def comparison(table: pd.DataFrame, *, title: str) -> Figure:
    """Learning curves of every imitator in `table` and of its DICP version, each beside the paper's own two (faint), the
    interventional world model and the controls. `table`: one env, one row of settings a run (`dicp.results`)."""
    names = [name for name in IMITATORS if name in set(table["method"])]
    figure, panels = plt.subplots(1, len(names), figsize=(4.6 * len(names) + 0.4, 5.2), sharey=True, squeeze=False)
    for ax, name in zip(panels[0], names, strict=True):
        rows = table[table["method"].isin([name, f"dicp_{name}", "dicp", *CONTROLS])]
        returns(rows, title=PANELS[name], value="normalised", paper=(name, f"dicp_{name}"), labels=False, ax=ax)
        ax.set_xlabel("environment steps in context")
        if ax is not panels[0, 0]:
            ax.set_ylabel("")
    first = table[table["method"].isin([names[0], f"dicp_{names[0]}", "dicp", *CONTROLS])]
    shown = {look.label.replace(names[0].upper(), "imitation"): look for look, _ in looks(first)}
    handles = [Line2D([], [], color=look.colour, ls=look.dashes, lw=look.width, label=label) for label, look in shown.items()]
    handles.append(Line2D([], [], color=GREY, lw=1.4, alpha=0.6, label="thin: the paper's own"))
    figure.legend(handles=handles, loc="outside lower center", ncols=5, fontsize=11)
    claim(figure, title, note=f"{sizes(table)}; bands: 95% bootstrap")
    return figure
