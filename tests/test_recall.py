"""Looking things up in the context: right from the first, by hand, and two ways that agree."""

import pytest
import torch

from dicp.models.recall import NEVER, Recall

NULL = torch.tensor([-3.0, 7.0])        # what is found about a thing never met
MET, FOUND = [5, 6, 9], [[1.0, 0.0], [0.0, 1.0], [2.0, 2.0]]


def fresh(n_things: int = 12) -> Recall:
    recall = Recall(n_things, 2)
    with torch.no_grad():
        recall.null_value.copy_(NULL)
    return recall


def found(recall: Recall, asked: int, keys: list, values: list, salience: list | None = None) -> torch.Tensor:
    """About one thing, at the end of a window."""
    query, salience = torch.full((1, len(keys)), asked), None if salience is None else torch.tensor([salience])
    return recall(query, torch.tensor([keys]), torch.tensor(values)[None], salience)[0, -1].detach()


def near(found: torch.Tensor, expected, atol: float = 0.01) -> bool:
    """But for the null key's small weight."""
    return torch.allclose(found, torch.as_tensor(expected), atol=atol)


@pytest.mark.parametrize("thing, value", list(zip(MET, FOUND, strict=True)))
def test_what_was_met_is_found(thing, value):
    assert near(found(fresh(), thing, MET, FOUND), value)


@pytest.mark.parametrize("thing", [4, 7, 10, 8, 0, 11])
def test_what_was_never_met_is_not_taken_for_another(thing):
    """Nor for a neighbour, nor for a thing of the same row or column of cells. All strangers are alike."""
    assert near(found(fresh(), thing, MET, FOUND), NULL, 1e-6)


def test_the_weights_by_hand():
    """A match scores 8, the null key 0, and salience is added to a match."""
    weights = torch.tensor([0.0, 8, 8]).softmax(0)
    expected = weights @ torch.stack((NULL, torch.tensor([1.0, 0.0]), torch.tensor([0.0, 3.0])))
    torch.testing.assert_close(found(fresh(), 5, [5, 9, 5], [[1.0, 0.0], [9.0, 9.0], [0.0, 3.0]]), expected)
    weights = torch.tensor([0.0, 9, 6]).softmax(0)
    expected = weights @ torch.stack((NULL, torch.tensor([1.0, 0.0]), torch.tensor([0.0, 3.0])))
    loud = [1.0, 20.0, -2.0]
    torch.testing.assert_close(found(fresh(), 5, [5, 9, 5], [[1.0, 0.0], [9.0, 9.0], [0.0, 3.0]], loud), expected)
    assert NEVER == pytest.approx(torch.tensor(-8.0).exp().item())


def test_every_thing_is_found_among_all_others():
    recall, values = fresh(), torch.randn(12, 2, generator=torch.Generator().manual_seed(0)).tolist()
    for thing in range(12):
        assert near(found(recall, thing, list(range(12)), values), values[thing])
        others, rest = [x for x in range(12) if x != thing], [v for x, v in enumerate(values) if x != thing]
        assert near(found(recall, thing, others, rest), NULL, 1e-6)


def test_nothing_is_never_taken_for_a_thing():
    """Nothing has the number after the last thing's."""
    for thing in range(12):
        assert near(found(fresh(), thing, [12, 12], [[50.0, 50.0]] * 2), NULL, 1e-6)
        assert near(found(fresh(), thing, [12, thing, 12], [[50.0, 50.0], [1.0, 1.0], [50.0, 50.0]]), [1.0, 1.0])


def test_of_a_thing_met_twice_the_mean_is_found_or_what_is_more_salient():
    values = [[1.0, 0.0], [9.0, 9.0], [0.0, 3.0]]
    assert near(found(fresh(), 5, [5, 9, 5], values), [0.5, 1.5])
    assert near(found(fresh(), 5, [5, 9, 5], values, [0.0, 0.0, 8.0]), [0.0, 3.0])


def test_what_comes_later_is_not_found():
    seen = fresh()(torch.tensor([[9, 9, 9]]), torch.tensor([MET]), torch.tensor([FOUND]))[0]
    assert near(seen[0], NULL, 1e-6) and near(seen[1], NULL, 1e-6) and near(seen[2], FOUND[2])


def test_things_are_known_by_nothing_but_their_numbers():
    """Other numbers for the same things, in the context and in the question: the same answer."""
    g = torch.Generator().manual_seed(0)
    key, query, value = torch.randint(13, (3, 20), generator=g), torch.randint(12, (3, 20), generator=g), torch.randn(3, 20, 2)
    other = torch.cat((torch.randperm(12, generator=g), torch.tensor([12])))
    torch.testing.assert_close(fresh()(query, key, value), fresh()(other[query], other[key], value))
    assert not torch.allclose(fresh()(query, key, value), fresh()(query, other[key], value))


@pytest.mark.parametrize("n_imagined", [0, 1, 4])
@pytest.mark.parametrize("salient", [False, True])
@torch.no_grad()
def test_a_table_of_all_answers_agrees_with_the_window(n_imagined, salient):
    """Two rows, three beams with imagined memories of their own, every thing asked about at once."""
    recall, n, g = fresh(6), 6, torch.Generator().manual_seed(1)
    key, value = torch.randint(n + 1, (2, 5), generator=g), torch.randn(2, 5, 2, generator=g)
    more, more_value = torch.randint(n + 1, (n_imagined, 2, 3), generator=g), torch.randn(n_imagined, 2, 3, 2, generator=g)
    loud, more_loud = (8 * torch.rand(x.shape, generator=g) if salient else None for x in (key, more))
    answers = recall.tabulate(key, value, loud)(torch.arange(n).expand(2, 3, n), more, more_value, more_loud)
    for row in range(2):
        for beam in range(3):
            window = torch.cat((key[row], more[:, row, beam])).expand(n, -1)               # once for each question
            values = torch.cat((value[row], more_value[:, row, beam])).expand(n, -1, -1)
            salience = torch.cat((loud[row], more_loud[:, row, beam])).expand(n, -1) if salient else None
            asked = torch.arange(n)[:, None].expand(-1, window.shape[1])
            torch.testing.assert_close(answers[row, beam], recall(asked, window, values, salience)[:, -1])
