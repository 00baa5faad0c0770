"""The law suite finds what breaks a law."""

from itertools import islice

import numpy as np
import pytest

from batchup import ops
from batchup.core.grid import Total
from batchup.core.plan import Itemwise, Kind, PlanOver, SameSamples
from batchup.core.randomness import Stateful
from batchup.core.record import record
from batchup.core.stream import Stage, Stream
from batchup.testing import LawError, check_laws


def staged(plan, *args):
    return Stage(lambda stream: Stream(plan(stream.index_plan("broken"), *args)), text=plan.__name__)


@record
class TooLong(PlanOver):
    tag = "toolong"

    kind = Kind.BLOCKS

    @property
    def length(self):
        return self.up.length

    def items(self, pass_, k, draws):
        return islice(self.up.start(pass_, k, draws), 1, None)


@record
class Impure(Itemwise):
    tag = "impure"

    kind = Kind.BLOCKS

    def items(self, pass_, k, draws):
        return (np.random.default_rng().integers(10**9, size=len(b)) for b in self.up.start(pass_, k, draws))


@record
class FromTheStart(Itemwise):
    tag = "fromthestart"

    kind = Kind.BLOCKS

    def items(self, pass_, k, draws):
        return self.up.start(pass_, 0, draws)


@record
class DrawsBesideTheJournal(Itemwise):
    tag = "drawsbesidethejournal"

    rng: Stateful
    kind = Kind.BLOCKS

    def items(self, pass_, k, draws):
        return (self.rng.generator.permutation(np.asarray(b)) for b in self.up.start(pass_, k, draws))


@record
class GivesItsOwn(Itemwise):
    tag = "givesitsown"

    shared: np.ndarray
    kind = Kind.OWN

    def items(self, pass_, k, draws):
        return (self.shared[: len(block)] for block in self.up.start(pass_, k, draws))


@record
class WrongSamples(SameSamples):
    tag = "wrongsamples"

    kind = Kind.BLOCKS

    @property
    def grid(self):
        return Total(3)

    def items(self, pass_, k, draws):
        return self.up.start(pass_, k, draws)


BROKEN = {
    "law 1, the length": lambda s, rng: s | staged(TooLong),
    "law 1, num_samples": lambda s, rng: s | staged(WrongSamples),
    "law 2": lambda s, rng: s | staged(Impure),
    "law 3, skip": lambda s, rng: s | staged(FromTheStart),
    "law 7": lambda s, rng: s | staged(DrawsBesideTheJournal, Stateful(rng)),
    "law 8": lambda s, rng: s | staged(GivesItsOwn, np.zeros(100)),
}


@pytest.mark.parametrize("law", BROKEN)
def test_it_finds(law):
    with pytest.raises(LawError, match=law):
        check_laws(BROKEN[law], members=1)


def test_it_finds_what_is_not_picklable():
    with pytest.raises(AttributeError, match="lambda"):
        check_laws(lambda stream, rng: stream | ops.map(lambda block: block), members=1)


def test_a_model_that_says_otherwise_is_shown_beside():
    with pytest.raises(LawError, match=r"the model, of indices\(10\).*expected\n.*\ngot"):
        check_laws(lambda s, rng: s | ops.take(2), members=1, model=lambda items: items[:1])


def test_a_stage_that_refuses_everything_is_not_checked_silently():
    with pytest.raises(TypeError, match="expected a stream of index blocks"):
        check_laws(lambda s, rng: s | ops.gather(np.arange(10)) | ops.chunk(2), members=1)


@pytest.mark.filterwarnings("ignore:zip. the members have batches of:UserWarning")
def test_all_of_ours_obey_over_all_members():
    for stage in [ops.chunk(3), ops.repeat(2), ops.shard(1, 2), ops.gather(np.arange(100))]:
        check_laws(lambda s, rng, stage=stage: s | stage, members=1)
    check_laws(lambda s, rng: s | ops.shuffle(rng), members=1)
    check_laws(lambda a, b, rng: ops.zip(a, b), members=2)
    check_laws(lambda a, rng: ops.choose(a, ops.indices(5) | ops.chunk(2), rng=rng), members=1)
